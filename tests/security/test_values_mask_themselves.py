"""What a traceback, a debugger or an error tracker may show: values hide what is private, errors never hold it."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dispatcher import Dispatcher, Gift, IdempotencyConflict, Sms
from dispatcher.broker import make_ringing_app, seal, unseal
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Channel, Intake, check_message
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.recipient import parse_recipient
from dispatcher.gateway.endpoints import send_request
from dispatcher.gateway.redact import private_of
from dispatcher.gateway.sms import sms_endpoint
from dispatcher.ledger import Books, SqlLedger
from dispatcher.ports import Token
from dispatcher.settings import load_settings
from dispatcher.wiring import Services
from tests import making
from tests.security.conftest import CLIENT_SECRET, ENQUEUE_KEY, REDIS_PASSWORD, WEB_SECRET
from tests.security.planted import CONTENT, GIVEN, LUCKY, NOTE, PROXY_PASSWORD, SECRETS, TEXT, leaks
from tests.security.roles import PASSWORD

PRIVATE = SECRETS | CONTENT | {"the token": "opaque-token-4417-abcdef"}
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
TOKEN = Token(value=PRIVATE["the token"], generation=1, scopes=frozenset({"write"}))


def settings_with_secrets(home: Path) -> dict[str, Any]:
    return {
        "home": home,
        "ledger_url": f"postgresql+psycopg://dispatcher:{PASSWORD}@127.0.0.1:1/none",
        "redis_url": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0",
        "api_base_url": "https://api.example.test",
        "client_id": "sandbox-client",
        "client_secret": CLIENT_SECRET,
        "enqueue_key": ENQUEUE_KEY,
        "web_secret": WEB_SECRET,
        "proxy": f"http://someone:{PROXY_PASSWORD}@127.0.0.1:9",
    }


def test_values_in_flight_hide_what_is_private(ledger: SqlLedger, books: Books) -> None:
    wanted = (
        Sms(recipient=LUCKY, body=TEXT),
        Gift(recipient=GIVEN, sku="A", amount="5", currency="AUD", idempotency_key="g", note=NOTE),
    )
    checked = [check_message(each, id=making.new_id(NOW), now=NOW, intake=Intake()) for each in wanted]
    books.enqueue(checked, source="test")
    claimed = [each for channel in Channel for each in ledger.claim(making.wish(NOW, channel)).messages]
    assert len(claimed) == 2
    settlements = [making.settled(each, making.outcome(OutcomeKind.REJECTED), NOW) for each in claimed]
    ledger.settle(settlements)
    shown = [
        *(wanted, checked, claimed, settlements, TOKEN),
        [books.story(each.id) for each in checked],
        [private_of(each, TOKEN) for each in claimed],
        [send_request(sms_endpoint("/s"), each, TOKEN) for each in claimed if each.body],
    ]
    for value in shown:
        assert not leaks(f"{value!r} {value} {value!s}", PRIVATE)


def test_settings_and_all_that_is_built_of_them_hide_their_secrets(tmp_path: Path) -> None:
    settings = load_settings(**settings_with_secrets(tmp_path))
    services = Services(settings)
    parts = [
        *(settings, services, services.engine, services.engine.url, services.redis, services.bell, services.tokens),
        *(services.transport, services.limiter, services.pump(), services.tick),
        make_ringing_app(settings.redis_url.get_secret_value()),
    ]
    for part in parts:
        assert not leaks(f"{part!r} {part}", PRIVATE), type(part)
    services.close()


def told(error: BaseException) -> str:
    """Return all that a logger, an error tracker or a queue of results may make of an error."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
    told = [repr(error), str(error), *lines, repr(getattr(error, "params", None))]
    for each in (error, error.__cause__, error.__context__):
        told.append(repr(vars(each)) if each is not None and hasattr(each, "__dict__") else "")
        told.append(pickled(each))
    return "\n".join(told)


def pickled(error: BaseException | None) -> str:
    try:
        return pickle.dumps(error).decode("latin-1")
    except (TypeError, pickle.PicklingError, AttributeError):
        return ""


def test_an_error_of_the_servers_does_not_tell_where_and_as_whom(tmp_path: Path) -> None:
    services = Services(load_settings(**settings_with_secrets(tmp_path)))
    for call in (
        services.books.tallies,
        services.redis.ping,
        lambda: services.tokens.token("write"),
        lambda: services.limiter.state(Channel.SMS),
    ):
        with pytest.raises(Exception, match=r".") as caught:
            call()
        assert not leaks(told(caught.value), PRIVATE)


def test_a_wrong_message_is_not_told_back(tmp_path: Path) -> None:
    number = f"{LUCKY}0"
    wrong: list[Sms | Gift] = [
        Sms(recipient=number, body=TEXT),
        Sms(recipient=LUCKY, body=f"{TEXT}\0"),
        Sms(recipient=LUCKY, body=TEXT * 100),
        Gift(recipient=GIVEN, sku="", amount="5", currency="AUD", idempotency_key="g", note=NOTE),
        Gift(recipient=GIVEN, sku="A", amount="5", currency="AUD", idempotency_key="g", note=NOTE * 100),
    ]
    for each in wrong:
        with pytest.raises(InvalidMessage) as caught:
            check_message(each, id=making.new_id(NOW), now=NOW, intake=Intake())
        assert not leaks(told(caught.value), PRIVATE), each
    with pytest.raises(InvalidMessage) as caught:
        unseal(seal(wrong[0], id=making.new_id(NOW), key=ENQUEUE_KEY)[:-4] + "AAAA", key=ENQUEUE_KEY)
    assert not leaks(told(caught.value), PRIVATE)


class TestTheApplicationsOwnTransaction:
    """Its engine hides no parameters unless it was told to, so an error of ours must not rely on that."""

    @pytest.fixture
    def theirs(self, ledger_url: str) -> Iterator[Engine]:
        engine = create_engine(ledger_url)
        yield engine
        engine.dispose()

    def test_a_statement_that_fails_tells_no_message(self, theirs: Engine, ledger_url: str, tmp_path: Path) -> None:
        with theirs.begin() as connection:
            connection.execute(text("DROP TABLE dispatcher_gift_guards"))
            connection.execute(text("DROP TABLE dispatcher_attempts"))
            connection.execute(text("ALTER TABLE dispatcher_messages RENAME COLUMN fingerprint TO digest"))
        client = Dispatcher.from_env(ledger_url=ledger_url, redis_url="redis://127.0.0.1:1/0", home=tmp_path)
        with client, Session(theirs) as session, pytest.raises(Exception, match="fingerprint") as caught:
            client.send_sms(LUCKY, TEXT, idempotency_key="a", session=session)
        assert not leaks(told(caught.value), PRIVATE)

    def test_a_row_that_is_refused_tells_no_message(self, theirs: Engine, books: Books) -> None:
        recipient = parse_recipient(LUCKY)
        message = replace(making.sms(NOW, TEXT), recipient=recipient, idempotency_key="a")
        refused: list[DBAPIError] = []
        for broken in (
            replace(message, channel=Channel.GIFT),
            replace(message, max_attempts=99_999_999),
            replace(message, body=f"{TEXT}\0"),
        ):
            with Session(theirs) as session:
                for enqueue in (partial(books.enqueue_within, session), books.enqueue):
                    try:
                        enqueue([broken], source="test")
                    except DBAPIError as error:
                        refused.append(error)
                    session.rollback()
        assert len(refused) >= (2 if theirs.dialect.name == "sqlite" else 6), "SQLite takes any number and any text"
        for each in refused:
            assert not leaks(told(each), PRIVATE)

    def test_a_conflict_tells_the_key_alone(self, books: Books, theirs: Engine) -> None:
        books.enqueue([making.sms(NOW, TEXT, idempotency_key="a")], source="test")
        with Session(theirs) as session, pytest.raises(IdempotencyConflict) as caught:
            books.enqueue_within(session, [making.sms(NOW, f"{TEXT}!", idempotency_key="a")], source="test")
        assert not leaks(told(caught.value), PRIVATE)
