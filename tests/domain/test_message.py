"""Bad input gets one clear sentence that names the field; good input comes out exact."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import Gift, Intake, NewMessage, Priority, Sms, check_message
from dispatcher.domain.recipient import Recipient, parse_recipient
from dispatcher.domain.segments import Encoding, segments
from dispatcher.domain.texts import with_newlines

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SMS: dict[str, Any] = {"recipient": "+61491570006", "body": "Your code is 123456"}
GIFT: dict[str, Any] = {
    "recipient": "+61491570006",
    "sku": "CARD",
    "amount": "25",
    "currency": "AUD",
    "idempotency_key": "order-1",
}


def check(kind: type[Sms] | type[Gift], **changes: Any) -> NewMessage:
    request = kind(**{**(SMS if kind is Sms else GIFT), **changes})
    return check_message(request, id=UUID(int=1), now=NOW, intake=Intake())


@pytest.mark.parametrize(
    ("kind", "changes", "field", "says"),
    [
        (Sms, {"recipient": ""}, "recipient", "empty"),
        (Sms, {"recipient": "0491570006"}, "recipient", "E.164"),
        (Sms, {"recipient": "+61 491 570 00x"}, "recipient", "the letter 'x'"),
        (Sms, {"recipient": "+6149157"}, "recipient", "not a number in use"),
        (Sms, {"recipient": "+61255501234"}, "recipient", "cannot be a mobile"),
        (Sms, {"recipient": "0061491570006"}, "recipient", "00 instead of +"),
        (Sms, {"recipient": None}, "recipient", "missing"),
        (Sms, {"recipient": 61491570006}, "recipient", "of type int"),
        (Sms, {"body": ""}, "body", "empty"),
        (Sms, {"body": " \n"}, "body", "empty"),
        (Sms, {"body": "x" * 1531}, "body", "11 SMS parts"),
        (Sms, {"body": "é̂" * 400}, "body", "UCS-2"),
        (Sms, {"body": "a\x00b"}, "body", "NUL"),
        (Sms, {"body": "a\ud800b"}, "body", "surrogate"),
        (Sms, {"priority": "urgent"}, "priority", "transactional, bulk"),
        (Sms, {"idempotency_key": ""}, "idempotency_key", "1 to 200"),
        (Sms, {"idempotency_key": "k\n"}, "idempotency_key", "printable"),
        (Sms, {"tags": "vip"}, "tags", "list"),
        (Sms, {"tags": ["a b"]}, "tags", "letters"),
        (Sms, {"tags": [["a"]]}, "tags", "letters"),
        (Sms, {"tags": 5}, "tags", "is a int"),
        (Sms, {"tags": [f"t{n}" for n in range(21)]}, "tags", "20 are the most"),
        (Sms, {"due_at": datetime(2026, 3, 2)}, "due_at", "no time zone"),  # noqa: DTZ001
        (Sms, {"expires_at": datetime(2026, 3, 2)}, "expires_at", "no time zone"),  # noqa: DTZ001
        (Sms, {"expires_at": NOW - timedelta(1)}, "expires_at", "past"),
        (Sms, {"due_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, "due_at", "out of range"),
        (Sms, {"due_at": NOW + timedelta(2), "expires_at": NOW + timedelta(1)}, "due_at", "before expires_at"),
        (Sms, {"due_at": datetime(9999, 12, 31, 23, tzinfo=UTC)}, "due_at", "ten years"),
        (Sms, {"expires_at": datetime(9999, 12, 31, 23, tzinfo=UTC)}, "expires_at", "ten years"),
        (Gift, {"amount": "0"}, "amount", "more than zero"),
        (Gift, {"amount": Decimal(-5)}, "amount", "more than zero"),
        (Gift, {"amount": "25.001"}, "amount", "more decimals than AUD"),
        (Gift, {"amount": "25.5", "currency": "JPY"}, "amount", "more decimals than JPY"),
        (Gift, {"amount": "NaN"}, "amount", "no digit"),
        (Gift, {"amount": Decimal("NaN")}, "amount", "more than zero"),
        (Gift, {"amount": "twenty"}, "amount", "no digit: write it as 25.00"),
        (Gift, {"amount": 25}, "amount", "of type int; give a Decimal"),
        (Gift, {"amount": 25.0}, "amount", "Decimal or its text"),
        (Gift, {"amount": "1000000.01"}, "amount", "the most"),
        (Gift, {"currency": "XXX"}, "currency", "ISO 4217"),
        (Gift, {"currency": "aud"}, "currency", "ISO 4217"),
        (Gift, {"idempotency_key": None}, "idempotency_key", "money"),
        (Gift, {"sku": ""}, "sku", "1 to 64"),
        (Gift, {"note": "x" * 501}, "note", "500"),
    ],
)
def test_each_wrong_field_is_named_with_what_would_be_right(
    kind: type[Sms] | type[Gift], changes: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        check(kind, **changes)
    assert caught.value.field == field
    assert says in caught.value.problem
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["+61400000000", "+61491570006", "+447700900123", "+12025550123", "+6421123456"])
def test_mobiles_and_the_regulators_fictional_numbers_are_taken(number: str) -> None:
    assert parse_recipient(number) == number


def test_amounts_come_out_with_exactly_the_decimals_of_their_currency() -> None:
    for amount, currency, exact in (("25", "AUD", "25.00"), ("500", "JPY", "500"), (Decimal("1.5"), "KWD", "1.500")):
        gift = check(Gift, amount=amount, currency=currency).gift
        assert gift is not None
        assert str(gift.amount) == exact


@pytest.mark.parametrize("text", ["Hi\r\nAnn", "Hi\rAnn", "Hi\nAnn"])
def test_line_ends_are_lf_before_a_text_is_counted_or_compared(text: str) -> None:
    plain = check(Sms, body="Hi\nAnn")
    assert (check(Sms, body=text).body, check(Sms, body=text).fingerprint) == ("Hi\nAnn", plain.fingerprint)
    gift = check(Gift, note=text).gift
    assert gift is not None
    assert gift.note == "Hi\nAnn"


def test_times_become_utc_and_the_default_life_is_72_hours() -> None:
    sydney = timezone(timedelta(hours=11))
    message = check(Sms, due_at=datetime(2026, 3, 2, 9, 0, tzinfo=sydney))
    assert message.due_at == datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
    assert message.expires_at - message.due_at == timedelta(hours=72)
    assert check(Sms, due_at=NOW - timedelta(1)).due_at == NOW, "the past means now"


def test_the_fingerprint_is_of_the_content_alone() -> None:
    plain = check(Sms)
    assert check(Sms, priority="bulk", tags=["x"], due_at=NOW + timedelta(1)).fingerprint == plain.fingerprint
    assert check(Sms, body="other").fingerprint != plain.fingerprint
    assert check(Gift, amount="25.00").fingerprint == check(Gift, amount=Decimal(25)).fingerprint
    assert check(Gift, amount="25.01").fingerprint != check(Gift).fingerprint


def test_invariant_11_values_mask_themselves() -> None:
    for message in (check(Sms), check(Gift, note="a private note")):
        shown = repr(message)
        assert "491570006" not in shown
        assert "123456" not in shown
        assert "private" not in shown
    assert "491570006" not in repr(Sms(**SMS)) + repr(Gift(**GIFT))
    assert repr(Recipient("+61491570006")) == "Recipient('+61•••••••06')"


def test_wrong_numbers_are_not_told_in_full_either() -> None:
    with pytest.raises(InvalidMessage) as caught:
        check(Sms, recipient="+61255501234")
    assert "55501" not in str(caught.value)


@given(st.text(max_size=2000))
def test_parts_are_counted_as_a_phone_would(text: str) -> None:
    counted = segments(text)
    single, several = (160, 153) if counted.encoding is Encoding.GSM7 else (70, 67)
    if counted.units <= single:
        assert counted.parts == 1
    else:
        assert -(-counted.units // several) <= counted.parts <= -(-counted.units // (several - 1)) + 1
    assert (counted.encoding is Encoding.UCS2) == bool(counted.culprits)


@given(st.text(max_size=40), st.text(max_size=10))
def test_no_input_crashes_the_check(number: str, currency: str) -> None:
    for kind, changes in (
        (Sms, {"recipient": number, "body": currency}),
        (Gift, {"amount": number, "currency": currency}),
    ):
        with suppress(InvalidMessage):
            check(kind, **changes)


def test_priority_is_the_callers_or_the_default() -> None:
    assert check(Sms).priority is Priority.TRANSACTIONAL
    assert check(Sms, priority="bulk").priority is Priority.BULK


def test_texts_are_composed_before_they_are_counted_and_digested() -> None:
    decomposed, composed = "Zoe\u0308", "Zo\u00eb"
    sms, gift = check(Sms, body=decomposed), check(Gift, note=decomposed)
    assert sms.body == composed
    assert sms.fingerprint == check(Sms, body=composed).fingerprint
    assert gift.gift is not None
    assert (gift.gift.note, gift.fingerprint) == (composed, check(Gift, note=composed).fingerprint)
    as_written = check_message(
        Sms(**SMS | {"body": decomposed}), id=UUID(int=1), now=NOW, intake=Intake(normalize=False)
    )
    assert as_written.body == decomposed


@given(st.text(max_size=40))
def test_every_text_is_sent_composed(text: str) -> None:
    with suppress(InvalidMessage):
        body = check(Sms, body=text).body
        assert body is not None
        assert body == unicodedata.normalize("NFC", with_newlines(text))


@pytest.mark.parametrize(("length", "fits"), [(306, True), (307, False)])
def test_a_text_may_take_as_many_parts_as_the_provider_does(length: int, fits: bool) -> None:
    request, intake = Sms(recipient="+61491570006", body="x" * length), Intake(max_parts=2)
    if fits:
        assert check_message(request, id=UUID(int=1), now=NOW, intake=intake).body == request.body
        return
    with pytest.raises(InvalidMessage, match="takes 3 SMS parts in GSM-7; shorten it to 2 or fewer"):
        check_message(request, id=UUID(int=1), now=NOW, intake=intake)
