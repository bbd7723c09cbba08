"""`dispatcher check`: each fault is named, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import make_url

from dispatcher.sandbox import SandboxControl
from tests.ledgers import Postgres
from tests.oauth.endpoint import TokenEndpoint, granting

from .conftest import Shell


def steps(shell: Shell, code: int) -> dict[str, Any]:
    ended = shell("check", "--json")
    assert ended.code == code, ended.out
    return {step["name"]: step for step in ended.json["steps"]}


def test_all_is_well(shell: Shell) -> None:
    found = steps(shell, 0)
    assert {name for name, step in found.items() if step["mark"] == "ok"} >= {
        *("settings", "api", "lease", "ledger", "schema", "clock", "redis", "redis version", "redis memory"),
        *("token", "scope sms", "scope gift", "test call", "spool"),
    }
    assert found["journal"]["mark"] == "warning"
    assert "one host only" in found["journal"]["found"]
    assert "just fetched" in found["token"]["found"]
    assert "shared by the fleet" in steps(shell, 0)["token"]["found"]
    assert "Everything that sending needs is there; " in shell("check").out


def test_with_nothing_set_each_fault_says_what_to_do(bare: Shell) -> None:
    found = steps(bare, 1)
    assert "DISPATCHER_API_BASE_URL, DISPATCHER_CLIENT_ID, DISPATCHER_CLIENT_SECRET" in found["api"]["found"]
    assert (found["schema"]["mark"], found["schema"]["advice"]) == ("fault", "run `dispatcher migrate`")
    assert found["redis"]["mark"] == "fault"
    assert "DISPATCHER_REDIS_URL" in found["redis"]["advice"]
    assert found["token"]["found"] == "skipped: api comes first"
    assert found["test call"]["found"] == "skipped: token comes first"
    text = bare("check")
    assert text.code == 1
    assert "→ run `dispatcher migrate`" in text.out
    assert "3 faults" in text.out


def test_settings_that_contradict_each_other_stop_everything(bare: Shell) -> None:
    bare.set(lease_seconds="1")
    found = steps(bare, 1)
    assert "DISPATCHER_LEASE_SECONDS" in found["settings"]["found"]
    assert {step["mark"] for name, step in found.items() if name != "settings"} == {"skipped"}


def test_plain_http_is_refused(shell: Shell) -> None:
    shell.set(api_base_url="http://api.example.com")
    found = steps(shell, 1)
    assert "plain http:// would send the secret in clear" in found["api"]["found"]
    assert found["token"]["mark"] == "skipped"


def test_postgresql_may_have_many_hosts(shell: Shell, fresh_postgres: str) -> None:
    shell.set(ledger_url=fresh_postgres)
    found = steps(shell, 0)
    assert found["ledger"]["found"].startswith("PostgreSQL 1")
    assert (found["journal"]["mark"], found["clock"]["mark"]) == ("ok", "ok")


def test_a_database_that_may_forget_what_it_confirmed(shell: Shell, fresh_postgres: str) -> None:
    """The tests' PostgreSQL does not wait for its disk."""
    assert steps(shell, 0)["durability"]["mark"] == "ok", "SQLite's sessions are ours to set up"
    shell.set(ledger_url=fresh_postgres)
    found = steps(shell, 0)["durability"]
    assert found["mark"] == "warning"
    assert "fsync is off" in found["found"]
    assert "full_page_writes is off" in found["found"]


def test_a_ledger_that_can_only_be_read(shell: Shell, fresh_postgres: str, postgres: Postgres) -> None:
    shell.set(ledger_url=fresh_postgres)
    name = make_url(fresh_postgres).database
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    found = steps(shell, 1)["ledger"]
    postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert (found["mark"], found["found"]) == (
        "fault",
        "the ledger cannot be written to: its PostgreSQL server is read-only",
    )


def test_a_ledger_that_cannot_be_reached(shell: Shell) -> None:
    shell.set(ledger_url="postgresql+psycopg://nobody@127.0.0.1:1/none")
    found = steps(shell, 1)
    assert "DISPATCHER_LEDGER_URL" in found["ledger"]["advice"]
    assert found["schema"]["found"] == "skipped: ledger comes first"
    assert found["test call"]["mark"] == "ok"


@pytest.mark.parametrize(
    ("token_fault", "sentence"),
    [("refuse_credentials", "correct DISPATCHER_CLIENT_ID and DISPATCHER_CLIENT_SECRET"), ("down", "refused a token")],
)
def test_no_token(shell: Shell, sandbox: SandboxControl, token_fault: str, sentence: str) -> None:
    sandbox.settings(token_fault=token_fault)
    found = steps(shell, 1)
    assert sentence in found["token"]["found"]
    assert found["scope sms"]["mark"] == "skipped"


def test_a_scope_that_was_not_granted_or_not_asked_for(shell: Shell, sandbox: SandboxControl) -> None:
    sandbox.settings(granted_scopes=["write"])
    found = steps(shell, 1)
    assert found["scope gift"]["mark"] == "fault"
    assert "ask the provider to grant gifting:send" in found["scope gift"]["advice"]
    shell.set(scopes="write")
    assert steps(shell, 0)["scope gift"]["mark"] == "warning"


def test_the_test_call_fails(shell: Shell, sandbox: SandboxControl) -> None:
    shell.set(probe_path="/nowhere")
    found = steps(shell, 1)
    assert "/nowhere does not work: 403" in found["test call"]["found"]
    assert "DISPATCHER_PROBE_PATH" in found["test call"]["advice"]


def test_redis_that_would_forget(shell: Shell, redis: Redis) -> None:
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = steps(shell, 0)
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    assert (found["redis memory"]["mark"], found["redis memory"]["advice"]) == (
        "warning",
        "set maxmemory-policy noeviction",
    )


def test_answers_that_wait_to_be_settled(shell: Shell, tmp_path: Path) -> None:
    spool = tmp_path / "home" / "spool"
    spool.mkdir(parents=True)
    (spool / "gone-1.jsonl").write_text("{}\n")
    found = steps(shell, 0)
    assert found["spool"]["mark"] == "warning"
    assert "start a worker on this host" in found["spool"]["advice"]


def test_secrets_are_never_shown(shell: Shell) -> None:
    shell.set(client_secret="hush-hush", redis_url="redis://:hush-hush@127.0.0.1:1/0")
    for command in (("check",), ("check", "--json"), ("status",), ("token",)):
        ended = shell(*command)
        assert "hush-hush" not in ended.out + ended.err


@pytest.mark.parametrize(("seconds", "mark"), [("29", "warning"), ("31", "ok")])
def test_a_gift_must_wait_longer_than_the_gateway_works(shell: Shell, seconds: str, mark: str) -> None:
    shell.set(api_base_url="https://api.invalid", gift_read_timeout=seconds)
    lease = steps(shell, 1)["lease"]
    assert lease["mark"] == mark
    assert ("a gift without its answer is in doubt" in lease["found"]) is (mark == "warning")


def test_scopes_with_commas_are_asked_for_as_the_api_wants_them(shell: Shell, sandbox: SandboxControl) -> None:
    shell.set(scopes="write,gifting:send")
    found = steps(shell, 0)
    assert (found["scope sms"]["mark"], found["scope gift"]["mark"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"scope": "write,gifting:send"}, "commas"),
        ({"token_type": None}, "no token_type"),
        ({"error": ""}, "empty error"),
    ],
)
def test_an_odd_answer_with_a_token_is_a_warning(shell: Shell, odd: dict[str, Any], says: str) -> None:
    endpoint = TokenEndpoint()
    endpoint.answer = granting(**odd)
    with endpoint.running():
        shell.set(api_base_url=endpoint.url.removesuffix("/oauth2/token"))
        for how in ("just fetched", "shared by the fleet"):
            found = steps(shell, 1)  # it has no test call
            assert found["token"]["mark"] == "warning"
            assert how in found["token"]["found"]
            assert "against RFC 6749: " in found["token"]["found"]
            assert says in found["token"]["found"]
            assert found["token"]["advice"] == "tell the provider; it works so"
            assert found["scope gift"]["mark"] == "ok"
