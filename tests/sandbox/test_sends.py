"""`POST /sendSMS` and `POST /gifting/send`: what they take and what they turn down."""

from typing import Any

import pytest
import requests

from dispatcher.sandbox import SandboxControl

from .caller import GIFT, SMS, Caller, error_of


def description_of(answer: requests.Response) -> str:
    return str(answer.json()["error_description"])


def test_a_good_sms_is_accepted_and_written_down(sandbox: SandboxControl, caller: Caller) -> None:
    answer = caller.send_sms(Idempotency_Key="k1")
    assert answer.status_code == 200
    assert answer.json()["status"] == "accepted"
    (entry,) = sandbox.journal()
    assert entry.provider_id == answer.json()["id"]
    assert answer.json()["id"].startswith("sms_")
    assert (entry.kind, entry.recipient, entry.message, entry.idempotency_key) == ("sms", *SMS.values(), "k1")
    assert (entry.carried_out, entry.status, entry.fault, entry.client_id) == (True, 200, None, "sandbox-client")


def test_a_good_gift_is_accepted_and_written_down(sandbox: SandboxControl, caller: Caller) -> None:
    answer = caller.send_gift(GIFT | {"note": "Danke schön"})
    assert answer.status_code == 200
    assert answer.json()["id"].startswith("gift_")
    (entry,) = sandbox.journal("gift")
    assert (entry.sku, entry.amount, entry.currency, entry.note) == ("COFFEE", "25.00", "AUD", "Danke schön")


@pytest.mark.parametrize("message", ["x", "x" * 1600, "naïve 👋", "\n", "\x00"])
def test_any_text_of_up_to_1600_characters_is_a_message(caller: Caller, message: str) -> None:
    assert caller.send_sms(SMS | {"message": message}).status_code == 200


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (SMS | {"recipient": "0400000000"}, "recipient"),
        (SMS | {"recipient": "+61 400 000 000"}, "recipient"),
        (SMS | {"recipient": "+0140000000"}, "recipient"),
        (SMS | {"recipient": "+1234567890123456"}, "recipient"),
        (SMS | {"recipient": "+61400000000\n"}, "recipient"),
        (SMS | {"recipient": "+6140000000٣"}, "recipient"),
        (SMS | {"recipient": 61400000000}, "recipient"),
        ({"message": "hello"}, "recipient"),
        (SMS | {"message": ""}, "message"),
        (SMS | {"message": "x" * 1601}, "message"),
        (SMS | {"message": None}, "message"),
        (SMS | {"message": ["hello"]}, "message"),
        (SMS | {"message": "\ud800"}, "message"),
        ({"recipient": "+61400000000"}, "message"),
        (SMS | {"sender": "me"}, "sender"),
        ([SMS], "body"),
        ("hello", "body"),
        (7, "body"),
    ],
)
def test_a_bad_sms_is_refused_with_the_field_named(caller: Caller, content: Any, field: str) -> None:
    answer = caller.send_sms(content)
    assert error_of(answer) == (400, "invalid_request")
    assert description_of(answer).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "0.000"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1.0000"}, "amount"),
        ({"amount": ".5"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": 25}, "amount"),
        ({"amount": None}, "amount"),
        ({"currency": "aud"}, "currency"),
        ({"currency": "AUDX"}, "currency"),
        ({"currency": 36}, "currency"),
        ({"sku": ""}, "sku"),
        ({"sku": "x" * 65}, "sku"),
        ({"note": "x" * 501}, "note"),
        ({"note": None}, "note"),
        ({"recipient": "x"}, "recipient"),
        ({"message": "hello"}, "message"),
    ],
)
def test_a_bad_gift_is_refused_with_the_field_named(caller: Caller, change: dict[str, Any], field: str) -> None:
    answer = caller.send_gift(GIFT | change)
    assert error_of(answer) == (400, "invalid_request")
    assert description_of(answer).startswith(f"{field}: ")


@pytest.mark.parametrize("amount", ["0.001", "1", "25.5", "999999999999.999", "0001"])
def test_a_decimal_above_zero_is_an_amount(caller: Caller, amount: str) -> None:
    assert caller.send_gift(GIFT | {"amount": amount}).status_code == 200


@pytest.mark.parametrize("field", ["recipient", "sku", "amount", "currency"])
def test_a_gift_without_one_of_its_fields_is_refused(caller: Caller, field: str) -> None:
    answer = caller.send_gift({name: value for name, value in GIFT.items() if name != field})
    assert error_of(answer) == (400, "invalid_request")


def test_a_body_that_is_not_json_by_its_type_is_refused(sandbox: SandboxControl, caller: Caller) -> None:
    answer = requests.post(
        sandbox.url + "/sendSMS", data=SMS, headers={"Authorization": f"Bearer {caller.token}"}, timeout=5
    )
    assert error_of(answer) == (415, "invalid_request")


def test_json_with_a_charset_is_json(caller: Caller) -> None:
    assert caller.send_sms(Content_Type="application/json; charset=utf-8").status_code == 200


def test_a_body_larger_than_64_kb_is_refused(sandbox: SandboxControl, caller: Caller) -> None:
    answer = caller.send_sms({"recipient": SMS["recipient"], "message": "x" * 70_000})
    assert error_of(answer) == (413, "invalid_request")
    assert [(entry.carried_out, entry.status) for entry in sandbox.journal("sms")] == [(False, 413)]


def test_other_paths_and_methods_are_refused_as_by_the_gateway_before_the_api(sandbox: SandboxControl) -> None:
    for path in ("/nowhere", "/sendSMS"):
        answer = requests.get(sandbox.url + path, timeout=5)
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
        assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert error_of(requests.get(sandbox.url + "/_sandbox/nowhere", timeout=5)) == (404, "not_found")
    assert [(entry.path, entry.status) for entry in sandbox.journal("other")] == [("/nowhere", 403), ("/sendSMS", 403)]


def test_every_answer_has_the_ids_of_the_gateway(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.fault(path="/sendSMS", action="slow_body", drip_s=0.01, times=1)
    answers = [caller.send_sms(), caller.send_sms(), caller.probe(), caller.send_sms({})]
    assert len({answer.headers["x-amzn-RequestId"] for answer in answers}) == len(answers)
    assert all(answer.headers["x-amz-apigw-id"] for answer in answers)
    own = requests.get(sandbox.url + "/_sandbox/summary", timeout=5)
    assert "x-amzn-RequestId" not in own.headers


def test_a_dead_token_is_answered_403_where_an_authorizer_caches(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(dead_token_status=403)
    sandbox.revoke()
    answer = caller.send_sms()
    assert (answer.status_code, list(answer.json())) == (403, ["Message"])
    assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


def test_the_gateway_throttles_without_saying_for_how_long(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(rate_limit="1/h", throttled_by="gateway")
    assert caller.send_sms().status_code == 200
    answer = caller.send_sms()
    assert (answer.status_code, answer.json()) == (429, {"message": "Too Many Requests"})
    assert "Retry-After" not in answer.headers


def test_a_request_without_a_good_token_is_refused_whatever_it_says(sandbox: SandboxControl) -> None:
    stranger = Caller(sandbox.url, "no-token")
    assert error_of(stranger.send_sms({"nonsense": 1}, Idempotency_Key="k1")) == (401, "invalid_token")
    (entry,) = sandbox.journal()
    assert (entry.kind, entry.carried_out, entry.recipient, entry.idempotency_key) == ("sms", False, None, "k1")


def test_by_default_the_same_key_is_carried_out_twice(sandbox: SandboxControl, caller: Caller) -> None:
    ids = {caller.send_gift(Idempotency_Key="k1").json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert sandbox.summary()["carried_out"] == {"gift": 2}
    assert sandbox.summary()["keys_carried_out_more_than_once"] == {"k1": 2}


def test_a_key_that_is_honoured_gets_the_first_answer_again(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(honour_idempotency_keys=True)
    first, second = (caller.send_gift(Idempotency_Key="k1") for _ in range(2))
    assert first.json() == second.json()
    assert [(entry.kind, entry.carried_out) for entry in sandbox.journal()] == [("gift", True), ("replayed", False)]


def test_a_key_that_is_honoured_counts_from_before_that_was_turned_on(sandbox: SandboxControl, caller: Caller) -> None:
    first = caller.send_gift(Idempotency_Key="k1")
    sandbox.settings(honour_idempotency_keys=True)
    assert caller.send_gift(Idempotency_Key="k1").json() == first.json()


def test_a_key_that_is_honoured_is_refused_for_other_content(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(honour_idempotency_keys=True)
    assert caller.send_gift(Idempotency_Key="k1").status_code == 200
    changed = caller.send_gift(GIFT | {"amount": "26.00"}, Idempotency_Key="k1")
    assert error_of(changed) == (422, "idempotency_key_reused")
    assert caller.send_sms(Idempotency_Key="k1").status_code == 200


def test_an_honoured_key_whose_answer_was_lost_is_carried_out_once(sandbox: SandboxControl, caller: Caller) -> None:
    sandbox.settings(honour_idempotency_keys=True)
    sandbox.fault(path="*", action="cut_after_accepting", times=1)
    with pytest.raises(requests.ConnectionError):
        caller.send_gift(Idempotency_Key="k1")
    assert caller.send_gift(Idempotency_Key="k1").status_code == 200
    assert sandbox.summary()["carried_out"] == {"gift": 1}
