"""The one query language of lists, pages and Python: ``channel:gift dead:<2h status:5xx attempts>=3 "quota"``.

A query is words with blanks between. ``field:value`` narrows, commas give alternatives, ``-`` before a word negates it,
and ``<``, ``<=``, ``>``, ``>=`` compare numbers, amounts and moments (an age such as ``<2h``, or a date). What names no
field is looked for in what went wrong.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dispatcher.domain.errors import QueryError
from dispatcher.domain.fields import FIELDS, FieldKind, Kind
from dispatcher.domain.message import UNKEPT
from dispatcher.domain.money import NotAnAmount, read_amount
from dispatcher.domain.state import State

LONGEST = 500
_WORD = re.compile(r'\s*(?P<minus>-?)(?:(?P<field>[a-z_]+)(?P<operator>:|<=|>=|<|>|=))?(?P<value>"[^"]*"?|[^\s"]+)?')
_AGE = re.compile(r"(\d+)(s|m|h|d|w)\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST_AGE = timedelta(days=36500)
_MOST_DIGITS = 15
"""Before and behind the point; no amount has more, and no database compares with any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One word of a query."""

    field: str
    """A field's name; empty for a text to look for."""
    operator: str
    """``:``, ``<``, ``<=``, ``>`` or ``>=``."""
    values: tuple[str, ...]
    negated: bool
    moment: datetime | None = None
    """For moments, what an age or a date comes to."""
    age: bool = False
    """It was an age, so ``<`` means later."""
    position: int = 0
    """Where it begins in the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query that was read: all of its terms must hold."""

    text: str
    terms: tuple[Term, ...]

    @property
    def states(self) -> frozenset[State] | None:
        """The only states that can match; None if any can."""
        found: frozenset[State] | None = None
        for term in self.terms:
            if term.negated:
                continue
            if term.field == "state":
                these = frozenset(State(value) for value in term.values)
            elif term.field in FIELDS and FIELDS[term.field].states:
                these = frozenset(FIELDS[term.field].states)
            else:
                continue
            found = these if found is None else found & these
        return found

    @property
    def private(self) -> Term | None:
        """The first term that asks for what lists mask, negated or not; None if there is none."""
        return next((term for term in self.terms if term.field in FIELDS and FIELDS[term.field].private), None)


_COMPARED = re.compile(r"<=|>=|<|>")
_PRIVATE = re.compile(
    rf"(?<![a-z_])((?:{'|'.join(name for name, field in FIELDS.items() if field.private)})(?:[:=]|[<>]=?))"
    r"""("[^"]*"?|[^\s"]+)"""
)


def parse_query(text: str, *, now: datetime) -> Query:
    """Read a query.

    :param now: aware; what ages count from. A frozen query keeps it.
    :raises QueryError: what is wrong and where.

    >>> query = parse_query('state:dead,expired -tag:test attempts>=3', now=datetime(2026, 11, 24, tzinfo=UTC))
    >>> [(term.field, term.operator, term.values, term.negated) for term in query.terms[1:]]
    [('tag', ':', ('test',), True), ('attempts', '>=', ('3',), False)]
    """
    unreadable = UNKEPT.search(text)
    if unreadable is not None:
        raise QueryError("a NUL or half a surrogate pair stands in no message; take it out", unreadable.start())
    if len(text) > LONGEST:
        raise QueryError(f"it is longer than {LONGEST} characters; narrow it with fewer words", LONGEST)
    return Query(text=text.strip(), terms=tuple(_terms(text, now)))


def hide_private(text: str) -> str:
    """Return a query as lists and the audit trail show it: without the numbers that it asks for.

    >>> hide_private('state:dead -to:+614* to:"+61491570006,+61491570007" created:<2h')
    'state:dead -to:… to:… created:<2h'
    """
    return _PRIVATE.sub(r"\1…", text)


def _terms(text: str, now: datetime) -> Iterator[Term]:
    end = 0
    while text[end:].strip():
        found = _WORD.match(text, end)
        assert found is not None  # noqa: S101 - every part of the pattern may be empty
        start = (
            found.start("minus") if found["minus"] else found.start("field") if found["field"] else found.start("value")
        )
        if found.end() == end or (found["value"] is None and found["field"] is None):
            raise QueryError(
                f"{text[end:].strip()[0]!r} stands alone; write field:value or a text in quotes", max(end, start)
            )
        end = found.end()
        yield replace(_term(found, now, start), position=start)


def _term(found: re.Match[str], now: datetime, start: int) -> Term:
    name, operator, value = found["field"] or "", found["operator"] or ":", found["value"] or ""
    place = found.start("value") if found["value"] else found.end()
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"'):
            raise QueryError("the quote is never closed", place)
        value = value[1:-1]
    if not value.strip():
        raise QueryError(f"{name or 'the text'} has no value; write {name or 'field'}:value", place)
    negated = bool(found["minus"])
    if not name:
        return Term(field="", operator=":", values=(value,), negated=negated)
    if name not in FIELDS:
        near = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FIELDS)}"
        raise QueryError(f"there is no field {name!r}; {hint}", found.start("field"))
    kind = FIELDS[name]
    if operator == "=":
        operator = ":"
    if operator == ":" and kind.kind in (Kind.NUMBER, Kind.AMOUNT):  # amount:<10 reads as amount<10
        compared = _COMPARED.match(value)
        if compared is not None:
            operator, value, place = compared[0], value[compared.end() :], place + compared.end()
    if operator != ":" and kind.kind not in (Kind.NUMBER, Kind.AMOUNT, Kind.MOMENT):
        raise QueryError(f"{name} cannot be compared with {operator}; write {name}:value", found.start("operator"))
    return _valued(Term(field=name, operator=operator, values=(value,), negated=negated), kind, now, place)


def _valued(term: Term, kind: FieldKind, now: datetime, place: int) -> Term:
    (value,) = term.values
    match kind.kind:
        case Kind.CHOICE:
            values = tuple(part.strip().lower().replace("-", "_") for part in value.split(","))
            for part in values:
                if part not in kind.choices:
                    near = difflib.get_close_matches(part, kind.choices, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(kind.choices)}"
                    raise QueryError(f"{part!r} is no {term.field}; {hint}", place)
            return _with(term, values)
        case Kind.TEXT:
            return _with(
                term, tuple(part for part in value.split(",") if part) if term.field != "failure" else (value,)
            )
        case Kind.NUMBER:
            if not re.fullmatch(r"\d{1,6}", value):
                raise QueryError(f"{value!r} is not a whole number; write {term.field}>=3", place)
            return term
        case Kind.STATUS:
            values = tuple(value.lower().split(","))
            if not all(re.fullmatch(r"[1-5](\d\d|xx)", part) for part in values):
                raise QueryError(f"{value!r} is not an HTTP status; write 503 or 5xx", place)
            return _with(term, values)
        case Kind.AMOUNT:
            return _amount(term, value, place)
        case Kind.MOMENT:
            return _moment(term, value, now, place)


def _with(term: Term, values: tuple[str, ...]) -> Term:
    return Term(field=term.field, operator=term.operator, values=values, negated=term.negated)


def _amount(term: Term, value: str, place: int) -> Term:
    try:
        amount = read_amount(value, None)
        if amount.adjusted() > _MOST_DIGITS:
            raise NotAnAmount("is above any amount", "write it as 25.00")
    except NotAnAmount as wrong:
        raise QueryError(f"{value!r} is not an amount: it {wrong.fault}; write amount>=50", place) from None
    return Term(field=term.field, operator=term.operator, values=(str(amount),), negated=term.negated)


def _moment(term: Term, value: str, now: datetime, place: int) -> Term:
    operator, given = term.operator, value
    if operator == ":":  # dead:<2h reads as dead<2h
        found = _COMPARED.match(value)
        operator, given = (found[0], value[found.end() :]) if found else ("<", value)
    age = _AGE.match(given)
    if age is not None:
        span = timedelta(**{_UNITS[age[2]]: min(int(age[1]), 10**9)}) if int(age[1]) < 10**9 else _LONGEST_AGE
        moment = now - min(span, _LONGEST_AGE) if span < _LONGEST_AGE else datetime.min.replace(tzinfo=UTC)
    else:
        moment = _date(term.field, given, place)
        operator = term.operator if term.operator != ":" else (operator if value != given else ">=")
    return Term(
        field=term.field, operator=operator, values=(value,), negated=term.negated, moment=moment, age=age is not None
    )


def _date(field: str, text: str, place: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(
            f"{text!r} is neither an age nor a date; write {field}:<2h or {field}:>2026-11-24", place
        ) from None
