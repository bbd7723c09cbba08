"""Rows that are older than the ledger's rules, on every page, in every list and export, and on the command line."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from dispatcher.cli.app import app
from dispatcher.ledger import migrate
from dispatcher.testing import FakeClock
from tests.ledger.test_invariants import ODD, TIMES, lift_rules, odd_times, plain, write
from tests.making import gift, sms
from tests.web.conftest import Site

NOT_BOTH = {"an empty key", "a blank key"}
PAGES = (
    "/",
    "/messages",
    "/dead",
    "/in-doubt",
    "/campaigns",
    "/operations",
    "/audit",
    "/metrics",
    "/messages.csv",
    "/dead.csv",
)
COMMANDS = (
    ("status", "--json"),
    ("messages", "list", "--limit", "500", "--json"),
    ("messages", "list", "--limit", "500"),
    ("dead", "list", "--json"),
    ("dead", "groups", "--json"),
    ("in-doubt", "list", "--json"),
)


@pytest.fixture
def odd(site: Site) -> list[str]:
    """Write a row of each kind, as it was before the rules, in each of three states; return their ids."""
    engine, clock = site.services.engine, FakeClock(site.services.clock.now())
    lift_rules(engine)
    every = [changes for name, changes in ODD.items() if name not in NOT_BOTH]
    every += [{column: moment} for column in TIMES for moment in odd_times(engine)]
    ids = []
    for changes in every:
        values = plain(engine, clock, **changes)
        write(engine, values)
        ids.append(values["id"])
    with engine.begin() as connection:
        for place, id_ in enumerate(ids):
            state = ("queued", "dead", "in_doubt")[place % 3]
            connection.execute(
                text("UPDATE dispatcher_messages SET state = :state WHERE CAST(id AS text) = :id"),
                {"state": state, "id": id_},
            )
    migrate(engine)
    site.services.books.enqueue([sms(clock.now()), gift(clock.now())], source="test")
    return ids


def test_every_page_list_and_command_shows_them(
    site: Site, odd: list[str], valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page in PAGES:
        assert (page, site.get(page).status_code) == (page, 200)
    shown = [(id_, site.get(f"/messages/{id_}").status_code) for id_ in odd]
    assert [each for each in shown if each[1] != 200] == []
    for query in ("amount:>1", "currency:AUD", "tag:vip", "sku:CARD"):
        assert site.get("/messages", q=query).status_code == 200
    monkeypatch.setenv("DISPATCHER_LEDGER_URL", site.services.engine.url.render_as_string(False))
    monkeypatch.setenv("DISPATCHER_REDIS_URL", valkey)
    monkeypatch.setenv("DISPATCHER_HOME", str(site.services.settings.home))
    for command in COMMANDS:
        found = CliRunner().invoke(app, list(command))
        assert found.exception is None or isinstance(found.exception, SystemExit), (command, found.exception)
        assert found.exit_code in (0, 3), (command, found.output[-300:])
    listed = CliRunner().invoke(app, ["messages", "list", "--limit", "500", "--json"])
    assert {message["id"] for message in json.loads(listed.stdout)["messages"]} >= set(odd)
    for id_ in odd:
        found = CliRunner().invoke(app, ["messages", "show", id_, "--json"])
        assert found.exit_code == 0, (id_, found.exception)
