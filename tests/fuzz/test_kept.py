"""What comes back from broker and disk is opened whole or refused by name; one that is bad costs only itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine, func, select

from dispatcher.client import Dispatcher
from dispatcher.domain.errors import IdempotencyConflict, InvalidMessage
from dispatcher.domain.state import State
from dispatcher.ledger.tables import AUDIT, MESSAGES
from dispatcher.testing import ACCEPTED
from tests.engine.conftest import House, house
from tests.fuzz.hostile import MOMENTS, TEXTS
from tests.fuzz.tally import TALLY, examples
from tests.making import NUMBER, new_id, settled, sms, wish
from tests.web.conftest import settings_of

__all__ = ["house"]

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
KEY = Fernet.generate_key().decode()
OURS = Fernet(KEY)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | MOMENTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
GOOD = {
    "sms": {"recipient": str(NUMBER), "body": "Hello"},
    "gift": {"recipient": str(NUMBER), "sku": "A", "amount": "5.00", "currency": "AUD", "idempotency_key": "k"},
}


def written(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


bent = st.builds(
    lambda kind, id_, without, changes: written(
        {name: value for name, value in GOOD[kind].items() if name != without}
        | {"kind": kind, "id": str(id_)}
        | changes
    ),
    st.sampled_from(list(GOOD)),
    st.uuids(),
    st.sampled_from(["", "body", "recipient"]),
    st.dictionaries(
        st.sampled_from(["kind", "id", "recipient", "body", "due_at", "expires_at", "tags", "amount", "sku", "x"]),
        values,
        max_size=2,
    ),
)
inside = bent | st.binary(max_size=80) | values.map(written)
deep = st.integers(1, 100_000).map(lambda depth: b"[" * depth)


@pytest.fixture
def client(ledger_url: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Dispatcher]:
    with Dispatcher(settings_of(ledger_url, valkey, tmp_path / "home", enqueue_key=KEY)) as made:
        yield made


@examples(80)
@given(text=TEXTS | (inside | deep).map(lambda content: OURS.encrypt(content).decode()))
def test_whatever_came_through_the_broker_is_one_message_or_refused_by_name(
    client: Dispatcher, engine: Engine, text: str
) -> None:
    surface, before = "messages that come sealed through the broker", rows(engine)
    with TALLY.trying(surface, InvalidMessage, IdempotencyConflict) as trial:
        client.enqueue_sealed(text)
    if not trial.accepted and rows(engine) != before:
        raise TALLY.half(surface, f"{trial.refusal} was said, and yet something was written")


@pytest.mark.parametrize("kind", GOOD)
def test_an_unbent_one_is_taken(client: Dispatcher, engine: Engine, kind: str) -> None:
    content = GOOD[kind] | {"kind": kind, "id": str(new_id(NOW))}
    client.enqueue_sealed(OURS.encrypt(written(content)).decode())
    assert rows(engine)[0] == 1


@st.composite
def bend(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Return what damages a good line: other bytes, an end too early, or another value somewhere in it."""
    other = draw(st.binary(max_size=60) | values.map(written))
    kind = draw(st.sampled_from(["cut", "put", "instead", "value", "value", "value"]))
    place, value = draw(st.integers(0, 2000)), draw(values)

    def bent_line(line: bytes) -> bytes:
        match kind:
            case "cut":
                return line[: place % len(line)]
            case "put":
                return line[: place % len(line)] + other + line[place % len(line) :]
            case "instead":
                return other
            case _:
                whole = json.loads(line)
                part = [whole, *(each for each in whole.values() if isinstance(each, dict))][place % 3]
                part[sorted(part)[place % len(part)]] = value
                return written(whole)

    return bent_line


@examples(50)
@given(bends=st.lists(bend(), min_size=1, max_size=4), after=st.booleans())
def test_a_damaged_line_of_the_spool_costs_only_itself(
    house: House, bends: list[Callable[[bytes], bytes]], after: bool
) -> None:
    for left in house.folder.rglob("*.jsonl"):  # by an example that failed
        left.unlink()
    good, bad = sms(house.clock.now(), "good"), sms(house.clock.now(), "bad")
    house.enqueue(good, bad)
    held = {each.id: each for each in house.ledger.claim(wish(house.clock.now())).messages}
    house.spool.append([settled(held[each.id], ACCEPTED, house.clock.now()) for each in (good, bad)])
    (file,) = house.folder.rglob("*.jsonl")
    first, sound, line = file.read_bytes().splitlines()
    damaged = [bent_line(line).replace(b"\n", b" ").replace(b"\r", b" ") for bent_line in bends]
    file.write_bytes(b"\n".join([first, *([sound, *damaged] if after else [*damaged, sound])]) + b"\n")
    with TALLY.trying("spools with damaged lines") as trial:
        house.pump()
        if house.books.message(bad.id).state is State.SENDING:
            trial.refuse()
    assert house.states(good) == [State.ACCEPTED]
    assert not house.spool.waiting
    house.ledger.settle([settled(each, ACCEPTED, house.clock.now()) for each in held.values()])


def rows(engine: Engine) -> list[int | None]:
    """Count what was written."""
    with engine.connect() as connection:
        return [connection.scalar(select(func.count()).select_from(each)) for each in (MESSAGES, AUDIT)]
