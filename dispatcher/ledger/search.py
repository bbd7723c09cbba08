"""Queries as SQL: the same text gives the same rows to the command line, the pages and Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Numeric,
    and_,
    any_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)

from dispatcher.domain.fields import FIELDS, Kind, Safety
from dispatcher.domain.identity import uuid7
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.query import Query, Term
from dispatcher.domain.state import State
from dispatcher.ledger.tables import CAMPAIGNS, GIFT_GUARDS, MESSAGES, TROUBLED

_ID_MARGIN = timedelta(hours=1)
_FIRST = datetime.min.replace(tzinfo=UTC) + _ID_MARGIN
_LAST = datetime.max.replace(tzinfo=UTC) - _ID_MARGIN
_COMPARE: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    ":": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COLUMNS: dict[str, Column[Any]] = {
    "channel": MESSAGES.c.channel,
    "priority": MESSAGES.c.priority,
    "state": MESSAGES.c.state,
    "outcome": MESSAGES.c.last_outcome,
    "code": MESSAGES.c.last_code,
    "failure": MESSAGES.c.failure,
    "to": MESSAGES.c.recipient,
    "key": MESSAGES.c.idempotency_key,
    "source": MESSAGES.c.source,
    "attempts": MESSAGES.c.attempts_made,
    "calls": MESSAGES.c.calls_made,
    "created": MESSAGES.c.created_at,
    "updated": MESSAGES.c.updated_at,
    "due": MESSAGES.c.due_at,
    "accepted": MESSAGES.c.accepted_at,
    "dead": MESSAGES.c.updated_at,
    "expired": MESSAGES.c.updated_at,
    "in_doubt": MESSAGES.c.updated_at,
}


def conditions(
    query: Query, dialect: str, *, within: Collection[State] | None = None, words_first: bool = False
) -> list[ColumnElement[bool]]:
    """Return what must hold of a message for the query to match it.

    :param within: of these states only. All that is said of states becomes one condition: a database that reads two
        of them for one column believes that next to nothing is left, and chooses its indexes by that.
    :param words_first: look for words in their own index before anything else: for what reads all that match, and has
        another index with all it needs but the words.
    """
    allowed = [query.states, within, TROUBLED if any(_is_text(term) for term in query.terms) else None]
    known = [frozenset(each) for each in allowed if each is not None]
    found: list[ColumnElement[bool]] = []
    if known:
        left = frozenset.intersection(*known)
        found.append(MESSAGES.c.state.in_([state.value for state in State if state in left]))
    for term in query.terms:
        if term.field == "state" and not term.negated:
            continue
        condition = _condition(term, dialect)
        if words_first and _is_text(term):
            # Materialized, because PostgreSQL would take a plain subquery on the same table out again.
            said = select(MESSAGES.c.id).where(*found[:1], condition).cte().prefix_with("MATERIALIZED")
            condition = MESSAGES.c.id.in_(select(said.c.id))
        found.append(not_(func.coalesce(condition, false())) if term.negated else condition)
    return found


def _is_text(term: Term) -> bool:
    return term.field == "" and not term.negated


def safety() -> ColumnElement[str]:
    """Build the expression of what sending a failed message again may do."""
    return case(
        *((_is_safe(each), each.value) for each in Safety if each is not Safety.NOT_SENT), else_=Safety.NOT_SENT.value
    )


def _is_safe(value: str) -> ColumnElement[bool]:
    """Build the condition that sending it again may do this; spelled out, so that an index serves it."""
    may = or_(
        exists().where(GIFT_GUARDS.c.message_id == MESSAGES.c.id),
        MESSAGES.c.doubtful_sends > 0,
        MESSAGES.c.last_outcome.in_([OutcomeKind.IN_DOUBT.value, OutcomeKind.FAILED.value, OutcomeKind.CONFLICT.value]),
    )
    rejected = MESSAGES.c.last_outcome == OutcomeKind.REJECTED.value
    never_went = and_(MESSAGES.c.state == State.EXPIRED.value, MESSAGES.c.calls_made == 0)
    match value:
        case Safety.MAY_HAVE_BEEN_SENT:
            return func.coalesce(may, false())
        case Safety.REJECTED:
            return and_(rejected, ~may)
        case Safety.EXPIRED:
            return and_(never_went, ~func.coalesce(may, false()))
        case _:
            known = func.coalesce(or_(may, rejected), false())
            return and_(~known, ~never_went)


def _condition(term: Term, dialect: str) -> ColumnElement[bool]:
    match term.field:
        case "":
            words = MESSAGES.c.last_error.icontains(term.values[0], autoescape=True)
            return and_(MESSAGES.c.state.in_([state.value for state in TROUBLED]), words) if term.negated else words
        case "safety":
            return or_(*(_is_safe(value) for value in term.values))
        case "id":
            return MESSAGES.c.id.in_(_uuids(term.values))
        case "operation":
            return MESSAGES.c.operation_id.in_(_uuids(term.values))
        case "campaign":
            named = select(CAMPAIGNS.c.id).where(
                or_(CAMPAIGNS.c.name.in_(term.values), CAMPAIGNS.c.id.in_(_uuids(term.values)))
            )
            # As an array, PostgreSQL looks the campaigns up first and then goes by their index.
            return (
                MESSAGES.c.campaign_id == any_(func.array(named.scalar_subquery()))
                if dialect == "postgresql"
                else MESSAGES.c.campaign_id.in_(named)
            )
        case "tag":
            return or_(*(_tagged(value, dialect) for value in term.values))
        case "sku" | "currency":
            return or_(*(_text(MESSAGES.c.gift[term.field].as_string(), value) for value in term.values))
        case "amount":
            written = MESSAGES.c.gift["amount"].as_string()
            if dialect == "postgresql":  # which ends the whole search at a text that is no number
                written = case((written.regexp_match("^[0-9]{1,15}([.][0-9]+)?$"), written))
            return _COMPARE[term.operator](cast(written, Numeric(20, 3)), Decimal(term.values[0]))
        case "status":
            return or_(*(_status(value) for value in term.values))
        case _:
            return _plain(term)


def _plain(term: Term) -> ColumnElement[bool]:
    column, field = _COLUMNS[term.field], FIELDS[term.field]
    match field.kind:
        case Kind.CHOICE:
            return column.in_(term.values)
        case Kind.NUMBER:
            # As wide as what may be asked for: the column itself is narrower, and PostgreSQL would refuse the number.
            return _COMPARE[term.operator](column, literal(int(term.values[0]), Integer))
        case Kind.MOMENT:
            changed = _moment(term, column)
            if field.states and term.negated:  # else the query's one condition on states says it
                changed = and_(MESSAGES.c.state.in_([state.value for state in field.states]), changed)
            return changed
        case _:
            return or_(*(_text(column, value) for value in term.values))


def _moment(term: Term, column: Column[Any]) -> ColumnElement[bool]:
    """``<2h`` is an age below two hours, so later than two hours ago; a date is compared as it stands."""
    moment: datetime | None = term.moment
    compare = term.operator
    if term.age:
        compare = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[compare]
    compared = _COMPARE[compare](column, moment)
    bound = None if moment is None else _by_id(term.field, compare, moment)
    return compared if bound is None else and_(bound, compared)


def _by_id(field: str, compare: str, moment: datetime) -> ColumnElement[bool] | None:
    """Narrow a moment of making to ids, which begin with the time they were made: then the primary key serves it.

    The machine that made the id may have had another time than the ledger's, hence the margin.
    """
    later = compare in (">", ">=")
    moment = min(max(moment, _FIRST), _LAST)  # so that the margin has room
    if field == "created":
        edge = moment - _ID_MARGIN if later else moment + _ID_MARGIN
    elif not later and field in ("updated", "accepted", "dead", "expired", "in_doubt"):
        edge = moment + _ID_MARGIN  # nothing happens to a message before it is made
    else:
        return None
    first = uuid7(max(0, int(edge.timestamp() * 1000)), 0)
    return MESSAGES.c.id >= first if later else MESSAGES.c.id <= first


def _text(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    if value.endswith("*"):
        begin = value[:-1]
        # As a range, which an index can serve whatever the database's collation says of LIKE.
        return and_(column >= begin, column < begin + "\U0010ffff") if begin else column.is_not(None)
    return column == value


def _status(value: str) -> ColumnElement[bool]:
    if value.endswith("xx"):
        first = int(value[0]) * 100
        return MESSAGES.c.last_status.between(first, first + 99)
    return MESSAGES.c.last_status == int(value)


def _tagged(value: str, dialect: str) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return MESSAGES.c.tags.bool_op("@>")(cast(literal([value], MESSAGES.c.tags.type), MESSAGES.c.tags.type))
    each = func.json_each(MESSAGES.c.tags).table_valued("value")
    return exists(select(literal(1)).select_from(each).where(each.c.value == value))


def _uuids(texts: tuple[str, ...]) -> list[UUID]:
    found = []
    for each in texts:
        try:
            found.append(UUID(each))
        except ValueError:
            continue  # no message has it
    return found
