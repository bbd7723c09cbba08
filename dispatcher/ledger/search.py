"""Queries as SQL: the same text gives the same rows to the command line, the pages and Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
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
from sqlalchemy.orm import InstrumentedAttribute

from dispatcher.domain.fields import FIELDS, Kind, Safety
from dispatcher.domain.identity import uuid7
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.query import Query, Term
from dispatcher.domain.state import State
from dispatcher.ledger.tables import TROUBLED, CampaignRow, GiftGuardRow, MessageRow

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
_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "channel": MessageRow.channel,
    "priority": MessageRow.priority,
    "state": MessageRow.state,
    "outcome": MessageRow.last_outcome,
    "code": MessageRow.last_code,
    "failure": MessageRow.failure,
    "to": MessageRow.recipient,
    "key": MessageRow.idempotency_key,
    "source": MessageRow.source,
    "attempts": MessageRow.attempts_made,
    "calls": MessageRow.calls_made,
    "created": MessageRow.created_at,
    "updated": MessageRow.updated_at,
    "due": MessageRow.due_at,
    "accepted": MessageRow.accepted_at,
    "dead": MessageRow.updated_at,
    "expired": MessageRow.updated_at,
    "in_doubt": MessageRow.updated_at,
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
        found.append(MessageRow.state.in_([state.value for state in State if state in left]))
    for term in query.terms:
        if term.field == "state" and not term.negated:
            continue
        condition = _condition(term, dialect)
        if words_first and _is_text(term):
            # Materialized, because PostgreSQL would take a plain subquery on the same table out again.
            said = select(MessageRow.id).where(*found[:1], condition).cte().prefix_with("MATERIALIZED")
            condition = MessageRow.id.in_(select(said.c.id))
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
        exists().where(GiftGuardRow.message_id == MessageRow.id),
        MessageRow.doubtful_sends > 0,
        MessageRow.last_outcome.in_([OutcomeKind.IN_DOUBT.value, OutcomeKind.FAILED.value, OutcomeKind.CONFLICT.value]),
    )
    rejected = MessageRow.last_outcome == OutcomeKind.REJECTED.value
    never_went = and_(MessageRow.state == State.EXPIRED.value, MessageRow.calls_made == 0)
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
            words = MessageRow.last_error.icontains(term.values[0], autoescape=True)
            return and_(MessageRow.state.in_([state.value for state in TROUBLED]), words) if term.negated else words
        case "safety":
            return or_(*(_is_safe(value) for value in term.values))
        case "id":
            return MessageRow.id.in_(_uuids(term.values))
        case "operation":
            return MessageRow.operation_id.in_(_uuids(term.values))
        case "campaign":
            named = select(CampaignRow.id).where(
                or_(CampaignRow.name.in_(term.values), CampaignRow.id.in_(_uuids(term.values)))
            )
            # As an array, PostgreSQL looks the campaigns up first and then goes by their index.
            return (
                MessageRow.campaign_id == any_(func.array(named.scalar_subquery()))
                if dialect == "postgresql"
                else MessageRow.campaign_id.in_(named)
            )
        case "tag":
            return or_(*(_tagged(value, dialect) for value in term.values))
        case "sku" | "currency":
            return or_(*(_text(MessageRow.gift[term.field].as_string(), value) for value in term.values))
        case "amount":
            amount = cast(MessageRow.gift["amount"].as_string(), Numeric(20, 3))
            return _COMPARE[term.operator](amount, Decimal(term.values[0]))
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
                changed = and_(MessageRow.state.in_([state.value for state in field.states]), changed)
            return changed
        case _:
            return or_(*(_text(column, value) for value in term.values))


def _moment(term: Term, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
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
    return MessageRow.id >= first if later else MessageRow.id <= first


def _text(column: ColumnElement[Any] | InstrumentedAttribute[Any], value: str) -> ColumnElement[bool]:
    if value.endswith("*"):
        begin = value[:-1]
        # As a range, which an index can serve whatever the database's collation says of LIKE.
        return and_(column >= begin, column < begin + "\U0010ffff") if begin else column.is_not(None)
    return column == value


def _status(value: str) -> ColumnElement[bool]:
    if value.endswith("xx"):
        first = int(value[0]) * 100
        return MessageRow.last_status.between(first, first + 99)
    return MessageRow.last_status == int(value)


def _tagged(value: str, dialect: str) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return MessageRow.tags.bool_op("@>")(cast(literal([value], MessageRow.tags.type), MessageRow.tags.type))
    each = func.json_each(MessageRow.tags).table_valued("value")
    return exists(select(literal(1)).select_from(each).where(each.c.value == value))


def _uuids(texts: tuple[str, ...]) -> list[UUID]:
    found = []
    for each in texts:
        try:
            found.append(UUID(each))
        except ValueError:
            continue  # no message has it
    return found
