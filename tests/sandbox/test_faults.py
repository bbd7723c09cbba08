"""Each fault as the caller's socket sees it, and as the journal has it."""

import contextlib
import json
import time
from typing import Any

import pytest
import requests

from dispatcher.sandbox import JournalEntry, SandboxControl, SandboxRefused
from dispatcher.sandbox.delivery import GATEWAY_LIMIT_S
from dispatcher.sandbox.faults import ACTIONS, parse_rule
from dispatcher.sandbox.openapi_backstage import BACKSTAGE_PATHS

from .caller import GIFT, SMS, Caller, error_of

SEND = "/sendSMS"


def only_entry(sandbox: SandboxControl) -> JournalEntry:
    (entry,) = sandbox.journal("sms")
    return entry


def test_a_status_is_answered_and_nothing_carried_out(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=503, retry_after=7)
    answer = caller.send_sms()
    assert error_of(answer) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "7"
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status, entry.fault, entry.provider_id) == (False, 503, "status", None)


def test_a_status_can_hide_that_the_request_was_carried_out(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=500, carried_out=True)
    assert error_of(caller.send_sms()) == (500, "server_error")
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status) == (True, 500)
    assert entry.provider_id is not None


@pytest.mark.parametrize("given", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "120"])
def test_retry_after_can_be_any_text(sandbox: SandboxControl, caller: Caller, given: str) -> None:
    sandbox.fault(path=SEND, action="status", status=429, retry_after=given)
    assert caller.send_sms().headers["Retry-After"] == given


def test_a_status_can_name_its_own_error(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=409, error="duplicate", error_description="seen before")
    answer = caller.send_sms()
    assert answer.status_code == 409
    assert answer.json() == {"error": "duplicate", "error_description": "seen before"}


def test_a_401_on_demand_has_its_challenge(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=401)
    answer = caller.send_sms()
    assert error_of(answer) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("status", [201, 202, 204])
def test_any_2xx_is_carried_out(sandbox: SandboxControl, caller: Caller, status: int) -> None:
    sandbox.fault(path=SEND, action="status", status=status)
    answer = caller.send_sms()
    assert answer.status_code == status
    assert bool(answer.content) == (status != 204)
    assert only_entry(sandbox).carried_out


@pytest.mark.parametrize(("action", "carried_out"), [("hang", False), ("hang_after_accepting", True)])
def test_a_hang_answers_nothing(sandbox: SandboxControl, caller: Caller, action: str, carried_out: bool) -> None:
    sandbox.fault(path=SEND, action=action)
    with pytest.raises(TimeoutError):
        caller.wire(timeout_s=0.3).read()
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status) == (carried_out, None)


def test_a_hang_ends_with_a_reset_if_nothing_was_carried_out(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="hang", hang_s=0.2)
    with pytest.raises(ConnectionResetError):
        caller.wire().read()


def test_a_hang_ends_with_the_answer_if_it_was_carried_out(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="hang_after_accepting", hang_s=0.2)
    began = time.monotonic()
    assert caller.wire().read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(("action", "carried_out"), [("cut", False), ("cut_after_accepting", True)])
def test_a_cut_is_a_reset(sandbox: SandboxControl, caller: Caller, action: str, carried_out: bool) -> None:
    sandbox.fault(path=SEND, action=action)
    with pytest.raises(ConnectionResetError):
        caller.wire().read()
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status) == (carried_out, None)


def test_a_cut_body_is_half_of_what_its_length_promised(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="cut_body")
    head, _, body = caller.wire().read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    promised = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == promised // 2 > 0
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status) == (True, 200)


@pytest.mark.timed
def test_a_slow_body_drips(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="slow_body", drip_s=0.4)
    connection = caller.wire().connection
    began = time.monotonic()
    first = connection.recv(65536)
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - began < 0.2
    rest = b""
    while part := connection.recv(65536):
        rest += part
    connection.close()
    assert time.monotonic() - began >= 0.3
    assert json.loads((first + rest).partition(b"\r\n\r\n")[2])["id"] == only_entry(sandbox).provider_id


@pytest.mark.parametrize(("action", "carried_out"), [("garbage", False), ("garbage_after_accepting", True)])
def test_garbage_is_no_http(sandbox: SandboxControl, caller: Caller, action: str, carried_out: bool) -> None:
    sandbox.fault(path=SEND, action=action)
    answer = caller.wire().read()
    assert answer
    assert b"HTTP/1" not in answer
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status) == (carried_out, None)


def test_a_huge_body_is_a_megabyte_of_json(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="huge_body")
    answer = caller.send_sms()
    assert answer.status_code == 200
    assert len(answer.content) > 1024 * 1024
    assert answer.json()["id"] == only_entry(sandbox).provider_id


def test_a_redirect_shows_whether_the_caller_follows(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="redirect", location="/elsewhere")
    answer = caller.send_sms()
    assert (answer.status_code, answer.headers["Location"]) == (302, "/elsewhere")
    assert not only_entry(sandbox).carried_out
    assert sandbox.journal("other") == []
    requests.get(sandbox.url + answer.headers["Location"], timeout=5)
    assert [entry.path for entry in sandbox.journal("other")] == ["/elsewhere"]


def test_the_connection_is_good_again_after_each_fault(sandbox: SandboxControl, caller: Caller) -> None:
    for action in sorted(ACTIONS.keys() - {"hang", "hang_after_accepting", "slow_body"}):
        sandbox.fault(path=SEND, action=action, times=1, **({"status": 500} if action == "status" else {}))
        with contextlib.suppress(requests.RequestException):
            caller.send_sms()
        assert caller.send_sms().status_code == 200


def test_a_rule_fires_as_often_as_it_says(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=503, times=2)
    assert [caller.send_sms().status_code for _ in range(4)] == [503, 503, 200, 200]
    (rule,) = sandbox.faults()
    assert (rule["times"], rule["fired"]) == (0, 2)


def test_the_first_rule_that_matches_fires(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path="/gifting/send", action="status", status=500)
    sandbox.fault(path=SEND, action="status", status=502, times=1)
    sandbox.fault(path="*", action="status", status=503)
    assert [caller.send_sms().status_code for _ in range(2)] == [502, 503]
    assert caller.send_gift().status_code == 500
    assert caller.probe().status_code == 503


def test_a_rule_can_be_for_one_recipient(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=500, recipient="+61400000001")
    assert caller.send_sms().status_code == 200
    assert caller.send_sms(SMS | {"recipient": "+61400000001"}).status_code == 500


def test_a_refused_request_spends_none_of_a_rules_times(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=500, times=1)
    assert caller.send_sms({}).status_code == 400
    assert caller.send_sms().status_code == 500


def test_cleared_rules_fire_no_more(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="cut")
    sandbox.clear_faults()
    assert caller.send_sms().status_code == 200


def test_the_same_seed_gives_the_same_faults(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path=SEND, action="status", status=500, probability=0.5)

    def run(seed: int) -> list[int]:
        sandbox.settings(seed=seed)
        return [caller.send_sms().status_code for _ in range(40)]

    first = run(1)
    assert set(first) == {200, 500}
    assert run(1) == first
    assert run(2) != first


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"action": "cut"}, "path"),
        ({"path": "/nowhere", "action": "cut"}, "path"),
        ({"path": SEND}, "action"),
        ({"path": SEND, "action": "explode"}, "action"),
        ({"path": SEND, "action": ["cut"]}, "action"),
        ({"path": SEND, "action": "status"}, "status"),
        ({"path": SEND, "action": "status", "status": 99}, "status"),
        ({"path": SEND, "action": "status", "status": "503"}, "status"),
        ({"path": SEND, "action": "cut", "status": 503}, "status"),
        ({"path": SEND, "action": "status", "status": 503, "retry_after": -1}, "retry_after"),
        ({"path": SEND, "action": "status", "status": 503, "retry_after": "1\r\nX: y"}, "retry_after"),
        ({"path": SEND, "action": "cut", "probability": 1.1}, "probability"),
        ({"path": SEND, "action": "cut", "times": 0}, "times"),
        ({"path": SEND, "action": "cut", "times": True}, "times"),
        ({"path": SEND, "action": "cut", "recipient": 5}, "recipient"),
        ({"path": SEND, "action": "hang", "hang_s": "long"}, "hang_s"),
        ({"path": SEND, "action": "cut", "hang_s": 5}, "hang_s"),
        ({"path": SEND, "action": "cut", "colour": "red"}, "colour"),
        ([], "body"),
    ],
)
def test_a_bad_rule_is_refused_with_the_field_named(sandbox: SandboxControl, rule: Any, field: str) -> None:
    answer = requests.post(sandbox.url + "/_sandbox/faults", json=rule, timeout=5)
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error_description"].startswith(f"{field}: ")
    assert sandbox.faults() == []


def test_the_control_object_raises_the_sandboxs_own_sentence(sandbox: SandboxControl) -> None:
    with pytest.raises(SandboxRefused, match="action: wants one of status, hang, "):
        sandbox.fault(path=SEND, action="explode")


def test_every_action_is_in_the_openapi_document() -> None:
    body = BACKSTAGE_PATHS["/_sandbox/faults"]["post"]["requestBody"]["content"]["application/json"]
    named = [action for rule in body["schema"]["oneOf"] for action in rule["properties"]["action"]["enum"]]
    assert sorted(named) == sorted(ACTIONS)


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        ({}, 403, {"message": "Forbidden"}),
        ({"status": 429, "message": "Limit Exceeded"}, 429, {"message": "Limit Exceeded"}),
        ({"status": 500}, 500, {"message": "Internal server error"}),
        ({"status": 504, "delay_s": 0.01}, 504, {"message": "Endpoint request timed out"}),
        (
            {"error_type": "AccessDeniedException", "message": "User is not authorized"},
            403,
            {"Message": "User is not authorized"},
        ),
    ],
)
def test_the_gateway_before_the_api_answers_in_its_own_form(
    sandbox: SandboxControl, caller: Caller, given: dict[str, Any], status: int, body: dict[str, str]
) -> None:
    sandbox.fault(path=SEND, action="gateway", **given)
    answer = caller.send_sms()
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer.headers["x-amzn-ErrorType"].endswith("Exception")
    entry = only_entry(sandbox)
    assert (entry.carried_out, entry.status, entry.fault) == (False, status, "gateway")


def test_a_504_comes_after_29_seconds_and_may_hide_that_it_was_carried_out(sandbox: SandboxControl) -> None:
    rule = parse_rule({"path": "*", "action": "gateway", "status": 504, "carried_out": True})
    assert (rule.delay_s, GATEWAY_LIMIT_S, rule.carries_out) == (None, 29, True)


def test_a_rule_may_look_at_what_a_request_says(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path="*", action="gateway", text="${JNDI:")
    sandbox.fault(path="/gifting/send", action="status", status=404, sku="GONE")
    texts = ["hello", "dear ${jndi:ldap://x}", "hello again"]
    assert [caller.send_sms({**SMS, "message": text}).status_code for text in texts] == [200, 403, 200]
    assert [caller.send_gift({**GIFT, "sku": sku}).status_code for sku in ("COFFEE", "GONE")] == [200, 404]
    assert caller.send_gift({**GIFT, "note": "a ${jndi:x} b"}).status_code == 403
