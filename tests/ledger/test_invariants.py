"""Rows that a producer writes in SQL: the database refuses what readers rely on, and one odd row stops nobody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from dispatcher.domain.query import parse_query
from dispatcher.domain.state import State
from dispatcher.ledger import Books, InspectionBooks, SqlLedger, migrate
from dispatcher.ledger.queries import Filter
from dispatcher.testing import FakeClock
from tests.making import gift, new_id, row, sms, wish

COLUMNS = (
    "id, channel, priority, state, recipient, body, gift, idempotency_key, fingerprint, tags, source, due_at, "
    "expires_at, max_attempts, created_at, updated_at"
)
CARD = {"sku": "CARD", "amount": "25.00", "currency": "AUD", "note": ""}


def plain(engine: Engine, clock: FakeClock, **changes: Any) -> dict[str, Any]:
    """Return a row as a producer's SQL has it: texts alone."""
    message = gift(clock.now()) if "gift" in changes else sms(clock.now())
    values = row(message)
    for name in ("due_at", "expires_at", "created_at", "updated_at"):
        moment = values[name].strftime("%Y-%m-%d %H:%M:%S.%f")  # type: ignore[attr-defined]
        values[name] = moment + "+00" if engine.dialect.name == "postgresql" else moment
    values |= {"id": str(new_id(clock.now())), "tags": json.dumps(values["tags"])}
    values["gift"] = None if values["gift"] is None else json.dumps(values["gift"])
    return values | changes


def write(engine: Engine, values: dict[str, Any]) -> None:
    places = ", ".join(f":{name.strip()}" for name in COLUMNS.split(","))
    if engine.dialect.name == "postgresql":
        for name, kind in {"id": "uuid", "gift": "jsonb", "tags": "jsonb"}.items():
            places = places.replace(f":{name},", f"CAST(:{name} AS {kind}),", 1)
        for name in ("due_at", "expires_at", "created_at", "updated_at"):
            places = places.replace(f":{name}", f"CAST(:{name} AS timestamptz)")
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO dispatcher_messages ({COLUMNS}) VALUES ({places})"), values)


def a_gift(**changes: Any) -> str:
    return json.dumps(CARD | changes)


def without(name: str) -> str:
    return json.dumps({key: value for key, value in CARD.items() if key != name})


ODD: dict[str, dict[str, Any]] = {
    "tags that are null": {"tags": "null"},
    "tags that are an object": {"tags": '{"vip": true}'},
    "tags that are a text": {"tags": '"vip"'},
    "tags that are numbers": {"tags": "[1]"},
    "tags that are lists": {"tags": '[["vip"]]'},
    "too many tags": {"tags": json.dumps([f"t{n}" for n in range(21)])},
    "no attempts": {"max_attempts": 0},
    "fewer than no attempts": {"max_attempts": -1},
    "attempts without end": {"max_attempts": 32767},
    "no amount": {"gift": a_gift(amount="0")},
    "no amount with decimals": {"gift": a_gift(amount="0.00")},
    "an amount below zero": {"gift": a_gift(amount="-5.00")},
    "three decimals": {"gift": a_gift(amount="5.999")},
    "a yen and a half": {"gift": a_gift(amount="1.5", currency="JPY")},
    "four decimals": {"gift": a_gift(amount="1.0001", currency="KWD")},
    "an amount that is a number": {"gift": json.dumps(CARD | {"amount": 5})},
    "an amount that is none": {"gift": a_gift(amount="NaN")},
    "an amount without end": {"gift": a_gift(amount="Infinity")},
    "an exponent": {"gift": a_gift(amount="1e3")},
    "a decimal comma": {"gift": a_gift(amount="5,00")},
    "two points": {"gift": a_gift(amount="5.0.0")},
    "a blank": {"gift": a_gift(amount=" 5.00")},
    "a line end": {"gift": a_gift(amount="5.00\n")},
    "a point alone": {"gift": a_gift(amount=".50")},
    "a point at the end": {"gift": a_gift(amount="5.")},
    "an absurd amount": {"gift": a_gift(amount="1000000.01")},
    "an unknown currency": {"gift": a_gift(currency="XXX")},
    "a currency in small letters": {"gift": a_gift(currency="aud")},
    "a currency that is null": {"gift": a_gift(currency=None)},
    "no currency": {"gift": without("currency")},
    "no sku": {"gift": without("sku")},
    "no amount at all": {"gift": without("amount")},
    "an empty sku": {"gift": a_gift(sku="")},
    "a sku that is a number": {"gift": json.dumps(CARD | {"sku": 7})},
    "a note that is null": {"gift": a_gift(note=None)},
    "a gift that is null": {"gift": "null"},
    "a gift that is a list": {"gift": "[]"},
    "a gift that is a text": {"gift": '"CARD"'},
    "an empty gift": {"gift": "{}"},
    "a recipient that is empty": {"recipient": ""},
    "a recipient that is a name": {"recipient": "Jane"},
    "a national number": {"recipient": "0400000000"},
    "an empty text": {"body": ""},
    "a blank text": {"body": " \n"},
    "a blank key": {"idempotency_key": " "},
    "an empty key": {"idempotency_key": ""},
    "a key of other characters": {"idempotency_key": "ключ"},
}
POSTGRESQL_TIMES = (
    "infinity",
    "-infinity",
    "0044-03-15 12:00:00+00 BC",
    "10000-01-01 00:00:00+00",
    "1900-01-01 00:00+00",
)
SQLITE_TIMES = (
    "infinity",
    "",
    "2026-11-24",
    "24.11.2026 09:00",
    "2026-02-31 09:00:00",
    "2026-11-24 25:00:00",
    "now",
    5,
)
TIMES = ("due_at", "expires_at", "created_at", "updated_at")


def odd_times(engine: Engine) -> tuple[Any, ...]:
    return POSTGRESQL_TIMES if engine.dialect.name == "postgresql" else SQLITE_TIMES


def lift_rules(engine: Engine) -> None:
    """Let rows in that are older than the rules."""
    migrate(engine, target="0006")


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_the_database_refuses_it(engine: Engine, clock: FakeClock, odd: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=r"must|ck_dispatcher|wants"):
        write(engine, plain(engine, clock, **odd))


def test_the_database_refuses_times_that_no_reader_knows(engine: Engine, clock: FakeClock) -> None:
    for column in TIMES:
        for moment in odd_times(engine):
            with pytest.raises(IntegrityError, match=rf"{column} must be a moment"):
                write(engine, plain(engine, clock, **{column: moment}))


@pytest.mark.parametrize("amount", ["0.01", "5", "5.5", "1000000", "1000000.00", "0005.00"])
def test_amounts_that_are_right_pass(engine: Engine, clock: FakeClock, amount: str) -> None:
    write(engine, plain(engine, clock, gift=a_gift(amount=amount)))
    write(engine, plain(engine, clock, gift=a_gift(amount="500", currency="JPY")))
    write(engine, plain(engine, clock, gift=a_gift(amount="1.005", currency="KWD")))


def test_a_sound_row_cannot_be_made_odd(engine: Engine, clock: FakeClock) -> None:
    write(engine, plain(engine, clock))
    for change in ("tags = 'null'", "max_attempts = -1", "recipient = 'Jane'", "body = ''", "lane = -1"):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text(f"UPDATE dispatcher_messages SET {change}"))


def test_a_row_that_is_older_than_the_rules_stops_nobody(
    engine: Engine, books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    lift_rules(engine)
    odd = [*ODD.values(), *({column: moment} for column in TIMES for moment in odd_times(engine))]
    unread = {"an empty key", "a blank key"}
    for name, changes in zip([*ODD, *map(str, range(len(odd)))], odd, strict=False):
        if name not in unread:
            write(engine, plain(engine, clock, **changes))
    migrate(engine)
    good = [sms(clock.now()), gift(clock.now())]
    books.enqueue(good, source="test")
    assert len(books.messages(Filter(), limit=1000)) == len(odd) - len(unread) + 2
    inspection = InspectionBooks(engine=engine)
    everything = parse_query("", now=clock.now())
    assert len(inspection.search(everything, limit=1000)) == len(odd) - len(unread) + 2
    inspection.oldest(everything, limit=1000)
    inspection.worth(everything)
    inspection.search(parse_query("amount:>1", now=clock.now()), limit=1000)
    for channel in ("sms", "gift"):
        taken: list[Any] = []
        while more := ledger.claim(wish(clock.now(), channel=channel_of(channel), count=50)).messages:
            taken += more
        assert {message.id for message in good if message.channel == channel} <= {message.id for message in taken}
        assert all(message.gift is None or message.gift.amount > 0 for message in taken)
    clock.advance(timedelta(days=400))
    ledger.lost_leases(now=clock.now(), limit=1000)
    ledger.due(now=clock.now())
    ledger.expire(now=clock.now(), limit=1000)
    assert books.message(good[0].id).state is State.SENDING


def channel_of(name: str) -> Any:
    from dispatcher.domain.message import Channel

    return Channel(name)
