"""The ledger's connection breaks in the middle of a COMMIT: nobody knows whether it was carried out, and acts on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import make_url

from dispatcher import Dispatcher
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.domain.state import State
from dispatcher.ledger import Filter
from dispatcher.spool_files import SpoolCounts, count
from dispatcher.wiring import Services, spool_folder
from tests.faults.chaos.wires import LedgerWire, Wires
from tests.faults.crash.house import House, SettleIn, assert_doubt_was_handled, assert_sent_once
from tests.ledgers import Postgres
from tests.making import NUMBER

pytestmark = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)  # SQLite has no connection to break


@pytest.fixture
def wire(postgres: Postgres) -> Iterator[LedgerWire]:
    wires = Wires()
    folder = make_url(postgres.url).query["host"]
    wire = LedgerWire(wires, f"{folder}/.s.PGSQL.5432", seed=1)
    wire.share_before = 0.0
    yield wire
    wires.close()


@pytest.fixture
def cut_house(settle_in: SettleIn, ledger_url: str, wire: LedgerWire) -> House:
    database = make_url(ledger_url).database
    return settle_in(ledger_url=f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/{database}")


def cut_next_commit(
    services: Services, wire: LedgerWire, call: str, when: Callable[[Any], bool] = lambda _: True
) -> list[int]:
    """Have the reply to the commit of one call of the ledger lost, once; the list fills when it happened."""
    services.books.messages(Filter())  # its connection is there, with the commit that belongs to that
    ledger, happened = services.ledger, list[int]()
    port = getattr(ledger, call)

    class Cut:
        def __getattr__(self, name: str) -> object:
            return getattr(ledger, name) if name != call else self.cut

        def cut(self, given: Any) -> object:
            if not happened and when(given):
                happened.append(1)
                wire.commits_to_cut = 1
            return port(given)

    services.__dict__["ledger"] = Cut()
    return happened


def test_an_enqueue_whose_commit_was_carried_out_is_found_by_its_key(cut_house: House, wire: LedgerWire) -> None:
    with Dispatcher(cut_house.settings) as client:
        client.send_sms(NUMBER, "so that its connection is there", idempotency_key="warm")
        wire.commits_to_cut = 1
        with pytest.raises(LedgerUnavailable):
            cut_house.send(client=client)
    assert wire.cut_after == 1
    assert cut_house.send().duplicate, "the row is there, and the same key finds it"


def test_an_enqueue_whose_commit_never_arrived_is_simply_sent_again(cut_house: House, wire: LedgerWire) -> None:
    wire.share_before = 1.0
    services = Services(cut_house.settings)
    services.books.messages(Filter())
    wire.commits_to_cut = 1
    with Dispatcher(cut_house.settings, services=services) as client, pytest.raises(LedgerUnavailable):
        cut_house.send(client=client)
    assert wire.cut_before == 1
    assert cut_house.books.messages(Filter()) == []
    assert not cut_house.send().duplicate


def test_a_claim_whose_commit_is_in_doubt_sends_nothing(cut_house: House, wire: LedgerWire) -> None:
    cut_house.send()
    services = Services(cut_house.settings)
    happened = cut_next_commit(services, wire, "claim", lambda request: request.channel is cut_house.channel)
    services.pump().run()
    services.close()
    message, attempts = cut_house.the_message()
    assert happened
    assert (message.state, attempts, cut_house.carried_out()) == (State.SENDING, [], 0), "leased by nobody who knows"
    cut_house.goes_on()
    assert_doubt_was_handled(cut_house, carried_out=0)


def test_a_settlement_whose_commit_is_in_doubt_is_settled_again_and_changes_nothing(
    cut_house: House, wire: LedgerWire
) -> None:
    cut_house.send()
    services = Services(cut_house.settings)
    happened = cut_next_commit(services, wire, "settle")
    services.pump().run()
    assert happened
    cut_house.goes_on()
    services.close()
    assert_sent_once(cut_house)
    assert count(spool_folder(cut_house.settings)) == SpoolCounts(waiting=0, quarantined=0), "it is settled and gone"
