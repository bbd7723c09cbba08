"""What every row of a message must be, whoever writes it: readers rely on it, and producers may write in SQL.

Triggers refuse what breaks a rule, and not CHECK constraints, for the sake of rows that are older than their rule: a
CHECK would refuse every later change of such a row as well, so that one of them stops the batch that expires, settles
or redacts it with others. A trigger looks at a column when it is inserted or set. It is AFTER the row, so that COPY
still writes many rows at once, and its condition is evaluated in place: only a row that breaks a rule calls a function.

Frozen: revision 0012 writes these rules into the ledger. A new rule is a new tuple and a new revision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Connection, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from dispatcher.domain.money import MAX_AMOUNT, MINOR_UNITS
from dispatcher.logs import get_logger

log = get_logger(__name__)

TABLE = "dispatcher_messages"
_SHOWN = 5
LONGEST_LIST = 20
_EARLIEST, _LATEST = "1970-01-01", "3000-01-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A rule for columns of a message. ``{}`` stands for the row in its conditions, which are true of a sound row."""

    name: str
    rule: str
    """What is right, for the error."""
    columns: tuple[str, ...]
    """Those whose change is looked at; empty: only insertion is."""
    postgresql: str
    sqlite: str

    @property
    def constraint(self) -> str:
        """The name that an error gives, in the form of the other constraints."""
        return f"ck_{TABLE}_{self.name}"

    def holds(self, dialect: str, row: str = TABLE) -> str:
        """Return the condition for a row; never null."""
        return f"coalesce({(self.postgresql if dialect == 'postgresql' else self.sqlite).replace('{}', row)}, false)"


def _moment(column: str, *, changes: bool) -> Invariant:
    cell = f"{{}}.{column}"
    return Invariant(
        name=column,
        rule=f"{column} must be a moment from {_EARLIEST} to {_LATEST}",
        columns=(column,) if changes else (),
        postgresql=f"({cell} >= CAST('{_EARLIEST}' AS date) AND {cell} < CAST('{_LATEST}' AS date))",
        sqlite=f"""(typeof({cell}) = 'text' AND {cell} >= '{_EARLIEST}' AND {cell} < '{_LATEST}'
            AND date({cell}, '+0 days') = substr({cell}, 1, 10) AND time({cell}) = substr({cell}, 12, 8)
            AND substr({cell}, 11, 1) = ' ' AND (length({cell}) = 19 OR length({cell}) BETWEEN 21 AND 26
                AND substr({cell}, 20, 1) = '.' AND substr({cell}, 21) NOT GLOB '*[^0-9]*'))""",
    )


def _codes(decimals: int) -> str:
    return ", ".join(f"'{code}'" for code, units in sorted(MINOR_UNITS.items()) if units == decimals)


_AMOUNT = "{}.gift ->> 'amount'"
_TEXT = "json_extract({}.gift, '$.amount')"


def _amount_postgresql(decimals: int) -> str:
    fraction = f"([.][0-9]{{1,{decimals}}})?" if decimals else ""
    return f"""WHEN {{}}.gift ->> 'currency' IN ({_codes(decimals)}) THEN CASE
        WHEN {_AMOUNT} ~ '^[0-9]{{1,7}}{fraction}$'
            THEN CAST({_AMOUNT} AS numeric) > 0 AND CAST({_AMOUNT} AS numeric) <= {MAX_AMOUNT}
        ELSE false END"""


def _amount_sqlite(decimals: int) -> str:
    point = f"instr({_TEXT}, '.')"
    fraction = f"OR {point} > 1 AND length({_TEXT}) - {point} BETWEEN 1 AND {decimals}" if decimals else ""
    return f"""WHEN json_extract({{}}.gift, '$.currency') IN ({_codes(decimals)}) THEN
        ({point} = 0 {fraction}) AND replace(substr({_TEXT}, 1, 8), '.', '') NOT GLOB '*[^0-9]*'
        AND replace({_TEXT}, '.', '') NOT GLOB '*[^0-9]*' AND length({_TEXT}) - length(replace({_TEXT}, '.', '')) < 2
        AND {_TEXT} GLOB '[0-9]*' AND length({_TEXT}) <= {8 + decimals}
        AND CAST({_TEXT} AS real) > 0 AND CAST({_TEXT} AS real) <= {MAX_AMOUNT}"""


GIFT = Invariant(
    name="gift_money",
    rule=(
        "gift must be an object of texts: sku, amount (above 0, at most 1000000, no more decimals than its currency), "
        "currency (ISO 4217), with or without note"
    ),
    columns=("gift",),
    postgresql=f"""CASE WHEN {{}}.gift IS NULL THEN true
        WHEN jsonb_typeof({{}}.gift) <> 'object' THEN false
        WHEN jsonb_typeof({{}}.gift -> 'sku') = 'string' AND jsonb_typeof({{}}.gift -> 'amount') = 'string'
            AND jsonb_typeof({{}}.gift -> 'currency') = 'string'
            AND coalesce(jsonb_typeof({{}}.gift -> 'note'), 'string') = 'string'
            AND {{}}.gift ->> 'sku' ~ '^[!-~]{{1,64}}$'
        THEN CASE {" ".join(_amount_postgresql(decimals) for decimals in (0, 2, 3))} ELSE false END
        ELSE false END""",
    sqlite=f"""CASE WHEN {{}}.gift IS NULL THEN true
        WHEN NOT json_valid({{}}.gift) THEN false
        WHEN json_type({{}}.gift) <> 'object' THEN false
        WHEN json_type({{}}.gift, '$.sku') = 'text' AND json_type({{}}.gift, '$.amount') = 'text'
            AND json_type({{}}.gift, '$.currency') = 'text'
            AND coalesce(json_type({{}}.gift, '$.note'), 'text') = 'text'
            AND json_extract({{}}.gift, '$.sku') NOT GLOB '*[^!-~]*'
            AND length(json_extract({{}}.gift, '$.sku')) BETWEEN 1 AND 64
        THEN CASE {" ".join(_amount_sqlite(decimals) for decimals in (0, 2, 3))} ELSE false END
        ELSE false END""",
)
_NUMBER = "recipient must be a number in international form, such as +61400000000"
MESSAGES_0012 = (
    _moment("due_at", changes=True),
    _moment("expires_at", changes=True),
    _moment("created_at", changes=False),
    _moment("updated_at", changes=False),
    GIFT,
    Invariant(
        name="tags",
        rule=f"tags must be a list of at most {LONGEST_LIST} texts",
        columns=("tags",),
        postgresql=f"""CASE WHEN jsonb_typeof({{}}.tags) = 'array' THEN jsonb_array_length({{}}.tags) <= {LONGEST_LIST}
            AND NOT jsonb_path_exists({{}}.tags, 'strict $[*] ? (@.type() != "string")') ELSE false END""",
        sqlite=f"""CASE WHEN json_valid({{}}.tags) THEN json_type({{}}.tags) = 'array'
            AND json_array_length({{}}.tags) <= {LONGEST_LIST}
            AND NOT EXISTS (SELECT 1 FROM json_each({{}}.tags) WHERE type <> 'text') ELSE false END""",  # noqa: S608 - constants
    ),
    Invariant(
        name="recipient",
        rule=_NUMBER,
        columns=("recipient",),
        postgresql="({}.redacted_at IS NOT NULL OR {}.recipient ~ '^[+][1-9][0-9]{4,14}$')",
        sqlite="""({}.redacted_at IS NOT NULL OR {}.recipient GLOB '+[1-9]*' AND length({}.recipient) BETWEEN 6 AND 16
            AND substr({}.recipient, 2) NOT GLOB '*[^0-9]*')""",
    ),
    Invariant(
        name="body_text",
        rule="body must not be empty",
        columns=("body",),
        postgresql="({}.redacted_at IS NOT NULL OR {}.body IS NULL OR btrim({}.body, E' \\t\\n\\r') <> '')",
        sqlite="""({}.redacted_at IS NOT NULL OR {}.body IS NULL
            OR typeof({}.body) = 'text' AND trim({}.body, ' ' || char(9, 10, 13)) <> '')""",
    ),
    Invariant(
        name="idempotency_key",
        rule="idempotency_key must be 1 to 200 printable ASCII characters",
        columns=("idempotency_key",),
        postgresql="({}.idempotency_key IS NULL OR {}.idempotency_key ~ '^[ -~]{1,200}$'"
        " AND btrim({}.idempotency_key) <> '')",
        sqlite="""({}.idempotency_key IS NULL OR typeof({}.idempotency_key) = 'text'
            AND length({}.idempotency_key) <= 200 AND trim({}.idempotency_key) <> ''
            AND {}.idempotency_key NOT GLOB '*[^ -~]*')""",
    ),
    Invariant(
        name="max_attempts",
        rule="max_attempts must be a whole number from 1 to 100",
        columns=("max_attempts",),
        postgresql="({}.max_attempts BETWEEN 1 AND 100)",
        sqlite="(typeof({}.max_attempts) = 'integer' AND {}.max_attempts BETWEEN 1 AND 100)",
    ),
    Invariant(
        name="lane",
        rule="lane must not be negative",
        columns=("lane",),
        postgresql="({}.lane >= 0)",
        sqlite="(typeof({}.lane) = 'integer' AND {}.lane BETWEEN 0 AND 32767)",
    ),
)


class SoundGift(ColumnElement[bool]):
    """The condition "the message's gift keeps its rule", in the words of either database."""

    inherit_cache = True
    type = Boolean()


@compiles(SoundGift)
def _write_sound_gift(_element: SoundGift, compiler: SQLCompiler, **_: Any) -> str:
    return GIFT.holds(compiler.dialect.name)


def report_unsound(connection: Connection, rules: tuple[Invariant, ...]) -> None:
    """Log how many rows break each rule, with the ids of the first."""
    for rule in rules:
        broken = f"FROM {TABLE} WHERE NOT {rule.holds(connection.dialect.name)}"
        found = connection.execute(text(f"SELECT count(*) {broken}")).scalar_one()
        if found:
            first = connection.execute(text(f"SELECT id {broken} ORDER BY id LIMIT {_SHOWN}")).scalars()
            log.warning("unsound_rows", rule=rule.rule, rows=found, first=[str(each) for each in first])


def statements(dialect: str, rules: tuple[Invariant, ...]) -> Iterator[str]:
    """Yield the statements that write rules into the ledger."""
    if dialect == "postgresql":
        yield """
            CREATE FUNCTION dispatcher_refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION '%', TG_ARGV[0]
                    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
            END $$"""
    for each in rules:
        events = ["INSERT"] + ([f"UPDATE OF {', '.join(each.columns)}"] if each.columns else [])
        sound = each.holds(dialect, "NEW")
        said = each.rule.replace("'", "''")
        if dialect == "postgresql":
            yield (
                f"CREATE TRIGGER {each.constraint} AFTER {' OR '.join(events)} ON {TABLE} FOR EACH ROW "
                f"WHEN (NOT {sound}) EXECUTE FUNCTION dispatcher_refuse_row('{said}')"
            )
        else:
            for event in events:
                yield (
                    f"CREATE TRIGGER {each.constraint}_{event.split()[0].lower()} AFTER {event} ON {TABLE} "
                    f"FOR EACH ROW WHEN NOT {sound} "
                    f"BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: {each.constraint}: {said}'); END"
                )


def removals(dialect: str, rules: tuple[Invariant, ...]) -> Iterator[str]:
    """Yield the statements that take rules out again."""
    for each in rules:
        if dialect == "postgresql":
            yield f"DROP TRIGGER {each.constraint} ON {TABLE}"
        else:
            yield f"DROP TRIGGER {each.constraint}_insert"
            if each.columns:
                yield f"DROP TRIGGER {each.constraint}_update"
    if dialect == "postgresql":
        yield "DROP FUNCTION dispatcher_refuse_row()"
