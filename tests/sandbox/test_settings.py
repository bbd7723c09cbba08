"""Settings in force: the rate limit, latency, and the control calls that change them."""

import time
from typing import Any

import pytest
import requests

from dispatcher.sandbox import SandboxControl, SandboxSettings, SettingRefused

from .caller import Caller, error_of


def test_over_the_rate_limit_a_call_is_refused_and_told_when_to_return(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(rate_limit="3/m", rate_burst=2)
    assert [caller.send_sms().status_code for _ in range(2)] == [200, 200]
    refused = caller.send_sms()
    assert error_of(refused) == (429, "rate_limited")
    assert 18 <= int(refused.headers["Retry-After"]) <= 20
    assert [(entry.carried_out, entry.status) for entry in sandbox.journal("sms")] == [
        (True, 200),
        (True, 200),
        (False, 429),
    ]
    assert sandbox.journal("sms")[-1].recipient is not None


def test_a_429_can_say_what_it_likes_in_retry_after(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(rate_limit="1/h", retry_after_s=2)
    caller.send_sms()
    assert caller.send_sms().headers["Retry-After"] == "2"


def test_the_rate_limit_lets_calls_through_again_with_time(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(rate_limit="5/s", rate_burst=1)
    assert [caller.send_sms().status_code for _ in range(2)] == [200, 429]
    time.sleep(0.21)
    assert caller.send_sms().status_code == 200


def test_the_rate_limit_is_kept_over_time(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(rate_limit="20/s", rate_burst=4)
    began = time.monotonic()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {caller.token}"
        while time.monotonic() - began < 0.6:
            session.get(sandbox.url + "/test-oauth2", timeout=5)
    carried_out = sandbox.summary()["carried_out"]["probe"]
    assert 12 <= carried_out <= 4 + 20 * (time.monotonic() - began) + 1


def test_all_calls_with_a_token_share_the_limit_and_token_requests_do_not(
    sandbox: SandboxControl, caller: Caller
) -> None:
    sandbox.settings(rate_limit="1/h")
    assert caller.send_sms().status_code == 200
    assert caller.send_gift().status_code == 429
    assert caller.probe().status_code == 429
    assert requests.post(sandbox.url + "/oauth2/token", timeout=5).status_code == 401


@pytest.mark.timed
def test_latency_delays_the_answer_and_not_the_effect(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(latency_ms=200, latency_jitter_ms=100)
    answer = caller.send_sms()
    assert 0.2 <= answer.elapsed.total_seconds() < 0.6
    with pytest.raises(TimeoutError):
        caller.wire(timeout_s=0.05).read()
    assert [entry.carried_out for entry in sandbox.journal("sms")] == [True, True]


def test_a_patch_changes_only_what_it_names_and_a_put_sets_back_the_rest(sandbox: SandboxControl) -> None:
    at_start = sandbox.settings()
    sandbox.settings(latency_ms=5)
    assert sandbox.settings(retry_after_s=3) == at_start | {"latency_ms": 5, "retry_after_s": 3}
    put = requests.put(sandbox.url + "/_sandbox/settings", json={"seed": 4}, timeout=5)
    assert put.json() == at_start | {"seed": 4}


def test_a_reset_goes_back_to_the_start(sandbox: SandboxControl, caller: Caller) -> None:
    at_start = sandbox.settings()
    sandbox.settings(latency_ms=1, rate_limit="1/h", honour_idempotency_keys=True)
    sandbox.fault(path="*", action="cut")
    sandbox.reset()
    assert (sandbox.settings(), sandbox.faults(), sandbox.journal()) == (at_start, [], [])
    assert [caller.send_sms().status_code for _ in range(2)] == [200, 200]


def test_no_provider_id_comes_again_after_a_reset(sandbox: SandboxControl, caller: Caller) -> None:
    before = caller.send_sms().json()["id"]
    sandbox.reset()
    assert caller.send_sms().json()["id"] != before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": "5"}, "latency_ms"),
        ({"latency_ms": True}, "latency_ms"),
        ({"rate_limit": "fast"}, "rate_limit"),
        ({"rate_limit": "0/s"}, "rate_limit"),
        ({"rate_limit": 50}, "rate_limit"),
        ({"rate_burst": 0}, "rate_burst"),
        ({"retry_after_s": -1}, "retry_after_s"),
        ({"token_expires_in": 1.5}, "token_expires_in"),
        ({"token_fault": "tired"}, "token_fault"),
        ({"token_fault": []}, "token_fault"),
        ({"granted_scopes": "write"}, "granted_scopes"),
        ({"granted_scopes": ["fly"]}, "granted_scopes"),
        ({"granted_scopes": [[]]}, "granted_scopes"),
        ({"honour_idempotency_keys": 1}, "honour_idempotency_keys"),
        ({"seed": None}, "seed"),
        ({"client_secret": "x"}, "client_secret"),
        ({"port": 1}, "port"),
        ({"colour": "red"}, "colour"),
        ([], "body"),
    ],
)
def test_a_bad_setting_is_refused_with_the_field_named(sandbox: SandboxControl, changes: Any, field: str) -> None:
    before = sandbox.settings()
    answer = requests.patch(sandbox.url + "/_sandbox/settings", json=changes, timeout=5)
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error_description"].startswith(f"{field}: ")
    assert sandbox.settings() == before


def test_numbers_that_are_none_are_refused(sandbox: SandboxControl) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        answer = requests.patch(sandbox.url + "/_sandbox/settings", data=f'{{"latency_ms": {number}}}', timeout=5)
        assert error_of(answer) == (400, "invalid_request")


def test_settings_are_checked_when_they_are_made() -> None:
    with pytest.raises(SettingRefused, match="rate_limit: wants calls per s, m or h"):
        SandboxSettings(rate_limit="fast")


def test_secrets_do_not_show_in_what_settings_print() -> None:
    shown = repr(SandboxSettings(client_secret="hush", signing_key="hush"))
    assert "hush" not in shown
