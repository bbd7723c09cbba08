"""`POST /oauth2/token` and what its tokens open."""

import base64
import json
import time
from typing import Any

import pytest
import requests

from dispatcher.sandbox import SandboxControl

from .caller import CLIENT, Caller, ask_token, error_of, get_token


def claims_of(token: str) -> dict[str, Any]:
    header, payload, _signature = (part + "=" * (-len(part) % 4) for part in token.split("."))
    assert json.loads(base64.urlsafe_b64decode(header)) == {"alg": "HS256", "typ": "JWT"}
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload))
    return claims


def test_a_token_comes_in_the_documented_form_and_is_not_to_be_stored(sandbox: SandboxControl) -> None:
    answer = ask_token(sandbox.url, scope="write gifting:send")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert {name: body[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "gifting:send write",
    }


def test_a_token_says_who_it_is_for_and_how_long_it_holds(sandbox: SandboxControl) -> None:
    claims = claims_of(get_token(sandbox.url, scope="write"))
    assert set(claims) == {"iss", "sub", "aud", "scope", "iat", "exp", "jti"}
    assert (claims["sub"], claims["scope"]) == ("sandbox-client", "write")
    assert claims["exp"] - claims["iat"] == pytest.approx(3600)
    assert abs(claims["iat"] - time.time()) < 5


def test_without_a_scope_every_scope_is_granted(sandbox: SandboxControl) -> None:
    assert len(ask_token(sandbox.url).json()["scope"].split()) == 9


@pytest.mark.parametrize("auth", [("sandbox-client", "wrong"), ("wrong", "sandbox-secret"), ("", ""), None])
def test_wrong_credentials_are_refused(sandbox: SandboxControl, auth: tuple[str, str] | None) -> None:
    answer = ask_token(sandbox.url, auth=auth)
    assert error_of(answer) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic c2FuZGJveA==", "Basic /////w==", "Bearer x"])
def test_a_malformed_basic_header_is_refused(sandbox: SandboxControl, header: str) -> None:
    answer = requests.post(sandbox.url + "/oauth2/token", headers={"Authorization": header}, timeout=5)
    assert error_of(answer) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("grant_type=password", "unsupported_grant_type"),
        ("grant_type=", "unsupported_grant_type"),
        ("", "invalid_request"),
        ("scope=write", "invalid_request"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&scope=%ff", "invalid_request"),
        ("grant_type=client_credentials&scope=write+fly", "invalid_scope"),
    ],
)
def test_a_bad_grant_is_refused(sandbox: SandboxControl, body: str, error: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(sandbox.url + "/oauth2/token", data=body, headers=form, auth=CLIENT, timeout=5)
    assert error_of(answer) == (400, error)


def test_a_grant_in_json_is_refused(sandbox: SandboxControl) -> None:
    grant = {"grant_type": "client_credentials"}
    answer = requests.post(sandbox.url + "/oauth2/token", json=grant, auth=CLIENT, timeout=5)
    assert error_of(answer) == (400, "invalid_request")


def test_no_more_is_granted_than_the_provider_allows(sandbox: SandboxControl) -> None:
    sandbox.settings(granted_scopes=["read", "write"])
    assert ask_token(sandbox.url, scope="write gifting:send").json()["scope"] == "write"
    assert error_of(ask_token(sandbox.url, scope="gifting:send")) == (400, "invalid_scope")


def test_a_token_opens_only_what_its_scope_covers(sandbox: SandboxControl) -> None:
    only_sms = Caller(sandbox.url, get_token(sandbox.url, scope="write"))
    assert only_sms.send_sms().status_code == 200
    refused = only_sms.send_gift()
    assert error_of(refused) == (403, "insufficient_scope")
    assert 'scope="gifting:send"' in refused.headers["WWW-Authenticate"]


def test_the_probe_says_what_a_token_is_good_for(caller: Caller) -> None:
    answer = caller.probe()
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["client_id"]) == ("ok", "sandbox-client")
    assert "write" in body["scope"].split()
    assert 3590 < body["expires_in"] <= 3600


def test_a_changed_token_is_refused(sandbox: SandboxControl, caller: Caller) -> None:
    header, payload, signature = caller.token.split(".")
    richer = base64.urlsafe_b64encode(json.dumps(claims_of(caller.token) | {"exp": 9e9}).encode()).decode().rstrip("=")
    for token in (f"{header}.{richer}.{signature}", f"{header}.{payload}.", f"{header}.{payload}", "x", ""):
        answer = Caller(sandbox.url, token).probe()
        assert error_of(answer) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}])
def test_a_call_without_a_bearer_token_is_refused(sandbox: SandboxControl, headers: dict[str, str]) -> None:
    answer = requests.get(sandbox.url + "/test-oauth2", headers=headers, timeout=5)
    assert error_of(answer) == (401, "invalid_token")


def test_a_token_really_expires(sandbox: SandboxControl) -> None:
    sandbox.settings(token_expires_in=1)
    caller = Caller(sandbox.url, get_token(sandbox.url))
    assert caller.probe().status_code == 200
    time.sleep(1.05)
    assert error_of(caller.probe()) == (401, "invalid_token")


def test_the_provider_may_lie_about_when_a_token_expires(sandbox: SandboxControl) -> None:
    sandbox.settings(token_real_expires_in=0)
    answer = ask_token(sandbox.url)
    assert answer.json()["expires_in"] == 3600
    assert error_of(Caller(sandbox.url, answer.json()["access_token"]).probe()) == (401, "invalid_token")


def test_revoking_refuses_every_token_until_then_and_none_after(sandbox: SandboxControl, caller: Caller) -> None:
    assert caller.probe().status_code == 200
    sandbox.revoke()
    assert error_of(caller.probe()) == (401, "invalid_token")
    assert Caller(sandbox.url, get_token(sandbox.url)).probe().status_code == 200


def test_one_token_can_be_revoked_alone(sandbox: SandboxControl, caller: Caller) -> None:
    other = Caller(sandbox.url, get_token(sandbox.url))
    sandbox.revoke(claims_of(other.token)["jti"])
    assert error_of(other.probe()) == (401, "invalid_token")
    assert caller.probe().status_code == 200


def test_the_token_service_can_be_down(sandbox: SandboxControl) -> None:
    sandbox.settings(token_fault="down")
    assert error_of(ask_token(sandbox.url)) == (503, "temporarily_unavailable")


def test_the_token_service_can_refuse_good_credentials(sandbox: SandboxControl) -> None:
    sandbox.settings(token_fault="refuse_credentials")
    assert error_of(ask_token(sandbox.url)) == (401, "invalid_client")


def test_the_token_service_can_refuse_every_scope(sandbox: SandboxControl) -> None:
    sandbox.settings(token_fault="invalid_scope")
    assert error_of(ask_token(sandbox.url)) == (400, "invalid_scope")


def test_the_token_service_can_hang(sandbox: SandboxControl) -> None:
    sandbox.settings(token_fault="hang")
    with pytest.raises(requests.ReadTimeout):
        requests.post(sandbox.url + "/oauth2/token", auth=CLIENT, timeout=0.2)
    assert [(entry.carried_out, entry.status) for entry in sandbox.journal("token")] == [(False, None)]


def test_the_token_service_can_be_slow(sandbox: SandboxControl) -> None:
    sandbox.settings(token_latency_ms=200)
    assert ask_token(sandbox.url).elapsed.total_seconds() >= 0.2


def test_a_token_can_be_issued_and_its_answer_lost(sandbox: SandboxControl) -> None:
    sandbox.fault(path="/oauth2/token", action="cut_after_accepting", times=1)
    with pytest.raises(requests.ConnectionError):
        ask_token(sandbox.url)
    assert ask_token(sandbox.url).status_code == 200
    assert [(entry.carried_out, entry.fault) for entry in sandbox.journal("token")] == [
        (True, "cut_after_accepting"),
        (True, None),
    ]
