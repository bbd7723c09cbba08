"""What the pages show runs: Python on a real ledger and Valkey, SQL on PostgreSQL; commands are well-formed."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from cryptography.fernet import Fernet
from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from dispatcher.broker import unseal
from dispatcher.cli.app import app
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import DEFAULT_LIFE, Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.ledger import Books, By, Resolution, SqlLedger, require_head
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers
from tests.docs.pages import DOCS, PAGES, blocks, commands_typed, name_of, prose
from tests.making import gift, outcome, settled, sms, wish
from tests.security.roles import documented_roles

KEY = Fernet.generate_key().decode()


@pytest.fixture
def application(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_template: Path, redis: Redis, valkey: str
) -> Redis:
    """Set up what an application finds in its environment: a ledger and a Valkey; return the latter."""
    shutil.copy(sqlite_template, tmp_path / "ledger.db")
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "REDIS_URL": valkey,
        "ENQUEUE_KEY": KEY,
    }.items():
        monkeypatch.setenv(f"DISPATCHER_{name}", value)
    return redis


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python_on_a_page_runs(page: Path, application: Redis) -> None:
    document = Sybil(parsers=[PythonCodeBlockParser()], pattern="*.md").parse(page)
    examples = list(document.examples())
    assert len(examples) == len(blocks(page, "python")), "every block is found"
    for example in examples:
        example.evaluate()


def test_the_sealed_message_of_the_page_can_be_opened_by_a_worker(application: Redis) -> None:
    test_python_on_a_page_runs(DOCS / "enqueueing.md", application)
    raw: Any = application.lpop("dispatcher:celery:dispatcher.enqueue")
    (sealed,) = json.loads(base64.b64decode(json.loads(raw)["body"]))[0]
    id_, request = unseal(sealed, key=KEY)
    assert isinstance(id_, UUID)
    assert request.recipient == "+61491570006"


def test_the_sql_of_the_page_makes_a_role_that_can_do_a_workers_work_and_no_more(
    fresh_postgres: str, clock: FakeClock
) -> None:
    with documented_roles(fresh_postgres) as roles, roles.engine("dispatcher_runtime") as runtime:
        _work(Books(engine=runtime), SqlLedger.on(runtime), clock)
        with pytest.raises(ProgrammingError, match="permission denied"), runtime.begin() as connection:
            connection.execute(text("DELETE FROM dispatcher_attempts"))


def _work(books: Books, ledger: SqlLedger, clock: FakeClock) -> None:
    """Do everything that workers, clock and commands do to a ledger."""
    require_head(ledger.engine)
    now = clock.now()
    by = By(actor="test", reason="it is a test", now=now)
    card, other, called_off = gift(now), gift(now), sms(now)
    books.enqueue([card, other, sms(now), called_off], source="test")
    books.cancel(called_off.id, by)
    books.replay(called_off.id, by, budget=1, life=DEFAULT_LIFE)
    for channel in Channel:
        books.pause(channel, by, until=None)
        books.resume(channel, by)
        ledger.pause(channel, by="dispatcher", reason="x", until=now, now=now)
    claimed = [*ledger.claim(wish(now, Channel.GIFT)).messages, *ledger.claim(wish(now)).messages]
    ledger.renew(claimed, now=now, until=now + timedelta(minutes=2))
    kinds = {card.id: OutcomeKind.IN_DOUBT, other.id: OutcomeKind.REJECTED}
    ledger.settle(
        [settled(each, outcome(kinds.get(MessageId(each.id), OutcomeKind.ACCEPTED)), now) for each in claimed]
    )
    books.resolve(card.id, Resolution.NOT_SENT, by, provider_id=None, budget=1, life=DEFAULT_LIFE)
    ledger.expire(now=now + timedelta(days=30), limit=10)
    ledger.due(now=now)
    ledger.lost_leases(now=now, limit=10)
    books.tallies()
    books.story(card.id)
    books.note_refusal("broker", by)
    _burst(ledger, by, clock)


def _burst(ledger: SqlLedger, by: By, clock: FakeClock) -> None:
    """Do everything that campaigns do to a ledger."""
    campaigns = campaigns_on(ledger.engine, clock)
    terms: dict[str, Any] = {"channel": "gift", "sku": "A", "amount": "5", "currency": "AUD", "window": "00:00-24:00"}
    made = campaigns.create(numbers(3), name="burst", budget="5", **terms).campaign
    campaigns.start(made.id)
    campaigns.books.suppress(Channel.SMS, numbers(2), by)
    campaigns.books.unsuppress(Channel.SMS, numbers(1), by)
    claimed = ledger.claim(wish(clock.now(), Channel.GIFT)).messages
    ledger.settle([settled(each, outcome(OutcomeKind.REJECTED), clock.now()) for each in claimed])
    clock.advance(timedelta(days=2))
    ledger.advance(now=clock.now())
    campaigns.pause(made.id, reason="wait")
    campaigns.resume(made.id)
    campaigns.progress(made.id)
    campaigns.retry_failed(made.id)
    campaigns.cancel(made.id)
    ledger.advance(now=clock.now())
    with pytest.raises(InvalidCampaign):
        campaigns.create(["x"], name="nobody", template="Hi")


@pytest.mark.parametrize(("page", "command"), list(commands_typed("dispatcher")))
def test_a_command_to_type_is_complete_and_well_formed(page: str, command: str) -> None:
    found, name, rest = _resolve(shlex.split(command)[1:])
    if not {"--help", "--version"} & set(rest):
        found.make_context(name, rest)  # raises for an unknown option, a wrong value, or a missing one


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_in_the_text_exists_with_its_options(page: Path) -> None:
    for code in re.findall(r"`(dispatcher [^`]+)`", re.sub(r"\s+", " ", prose(page).replace("\\|", "|"))):
        words = shlex.split(code)[1:]
        if words[0].startswith("…"):
            continue
        found, name, rest = _resolve(words)
        known = {option for each in found.params for option in each.opts} | {"--help"}
        for word in rest:
            for option in word.split("|"):
                if option.startswith("--"):
                    assert option in known, f"{name} has no {option}"


def _resolve(words: list[str]) -> tuple[Any, str, list[str]]:
    """Return the command that words name, its full name, and what is left of the words; fail if there is no such."""
    command: Any = typer.main.get_command(app)
    name = "dispatcher"
    words = words[2:] if words[:1] == ["--home"] else list(words)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        word = words.pop(0)
        assert word in command.commands, f"{name} has no command {word}"
        command, name = command.commands[word], f"{name} {word}"
    return command, name, words
