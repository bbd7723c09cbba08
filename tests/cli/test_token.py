"""`dispatcher token`."""

from __future__ import annotations

import requests

from dispatcher.sandbox import SandboxControl

from .conftest import Shell


def test_it_is_masked_unless_revealed(shell: Shell, sandbox: SandboxControl) -> None:
    revealed = shell("token", "--reveal")
    value = revealed.out.strip()
    assert (revealed.code, revealed.err) == (0, "")
    answer = requests.get(f"{sandbox.url}/test-oauth2", headers={"Authorization": f"Bearer {value}"}, timeout=5)
    assert answer.status_code == 200
    masked = shell("token")
    assert masked.code == 0
    assert value[4:20] not in masked.out
    assert "gifting:send write" in masked.out
    assert "trusted for" in masked.out


def test_json(shell: Shell) -> None:
    document = shell("token", "--json").json
    assert document["access_token"] is None
    assert document["scopes"] == ["gifting:send", "write"]
    assert 3000 < document["expires_in_s"] < 3600
    assert shell("token", "--json", "--reveal").json["access_token"]


def test_one_token_serves_all(shell: Shell, sandbox: SandboxControl) -> None:
    assert shell("token", "--reveal").out == shell("token", "--reveal", "--scope", "gifting:send").out
    assert len(sandbox.journal("token")) == 1


def test_a_scope_that_was_not_granted(shell: Shell) -> None:
    ended = shell("token", "--scope", "admin")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: the API granted no scope 'admin' (granted: gifting:send write)")


def test_wrong_credentials(shell: Shell) -> None:
    shell.set(client_secret="wrong")
    ended = shell("token")
    assert ended.code == 1
    assert "correct DISPATCHER_CLIENT_ID and DISPATCHER_CLIENT_SECRET" in ended.err
    assert "asked again in" in ended.err
    assert ended.err.count("\n") == 1


def test_without_credentials_it_is_wrong_usage(offline: Shell) -> None:
    ended = offline("token")
    assert ended.code == 2
    assert "DISPATCHER_API_BASE_URL" in ended.err


def test_without_redis_it_still_gets_one(shell: Shell) -> None:
    shell.set(redis_url="redis://127.0.0.1:1/0")
    assert shell("token", "--reveal").code == 0


def test_renew_fetches_another_although_the_present_one_is_good(shell: Shell, sandbox: SandboxControl) -> None:
    first = shell("token", "--reveal").out
    renewed = shell("token", "--renew", "--reveal").out
    assert renewed != first
    assert shell("token", "--reveal").out == renewed, "it is everybody's"
    assert len(sandbox.journal("token")) == 2


def test_renew_that_fails_leaves_the_present_one_and_says_why(shell: Shell, sandbox: SandboxControl) -> None:
    first = shell("token", "--reveal").out
    sandbox.fault(path="/oauth2/token", action="gateway", status=429, message="Limit Exceeded")
    ended = shell("token", "--renew")
    assert ended.code == 1
    assert "429 Too Many Requests (Limit Exceeded)" in ended.err
    sandbox.clear_faults()
    assert shell("token", "--reveal").out == first


def test_renew_needs_redis_to_share_it(shell: Shell) -> None:
    shell.set(redis_url="redis://127.0.0.1:1/0")
    assert shell("token", "--renew").code == 1
