"""`dispatcher sms` and `dispatcher gift`."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.sandbox import SandboxControl

from .conftest import MOBILE, Shell

GIFT = ("--sku", "COFFEE", "--amount", "25", "--currency", "AUD")


def test_an_sms_is_enqueued_and_followed(offline: Shell) -> None:
    offline.set(redis_url="redis://127.0.0.1:1/0")
    ended = offline("sms", MOBILE, "Your code is 123456")
    assert ended.code == 0
    assert "sms to +61•••••••06 is safe in the ledger: queued" in ended.out
    assert "dispatcher messages show " in ended.out
    assert "123456" not in ended.out
    assert "Redis cannot be reached: it waits in the ledger" in ended.err


def test_json_has_one_document_with_everything_masked(shell: Shell) -> None:
    ended = shell("sms", MOBILE, "Your code is 123456", "--tag", "otp", "--tag", "vip", "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.json
    assert document["recipient"] == "+61•••••••06"
    assert document["body"] is None
    assert (document["body_characters"], document["body_parts"], document["body_encoding"]) == (19, 1, "GSM-7")
    assert (document["state"], document["duplicate"], document["bell_heard"]) == ("queued", False, True)
    assert document["tags"] == ["otp", "vip"]
    assert document["created_at"].endswith("Z")


def test_reveal_shows_number_and_text(shell: Shell) -> None:
    document = shell("sms", MOBILE, "Your code is 123456", "--json", "--reveal").json
    assert (document["recipient"], document["body"]) == (MOBILE, "Your code is 123456")


def test_a_gift_keeps_its_amount_exactly(shell: Shell) -> None:
    document = shell("gift", MOBILE, *GIFT, "--key", "order-1", "--note", "Thank you", "--json").json
    assert document["gift"] == {
        "sku": "COFFEE",
        "amount": "25.00",
        "currency": "AUD",
        "note": None,
        "note_characters": 9,
    }


def test_the_same_again_is_a_duplicate_and_other_content_is_refused(shell: Shell) -> None:
    first = shell.gift("order-1")
    again = shell("gift", MOBILE, *GIFT, "--key", "order-1")
    assert again.code == 0
    assert "had been enqueued before with this key" in again.out
    assert first in again.out
    other = shell("gift", MOBILE, *GIFT[:-3], "26", *GIFT[-2:], "--key", "order-1")
    assert other.code == 4
    assert other.err.startswith(f"error: idempotency_key: 'order-1' already belongs to message {first}")
    assert shell.rows() == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("sms", "0491570006", "Hi"),
            "recipient: '049•••••06' is not E.164: it has no + (spreadsheets remove it); write it as +61491570006",
        ),
        (("sms", "+61299999999", "Hi"), "recipient: '+61•••••••99' cannot be a mobile number"),
        (("sms", "+61000000000", "Hi"), "recipient: '+61•••••••00' is not a number in use"),
        (("sms", "", "Hi"), "recipient: is empty; give an E.164 number"),
        (("sms", MOBILE, ""), "body: is empty; give the text of the SMS"),
        (("sms", MOBILE, "x" * 1531), "body: takes 11 SMS parts in GSM-7; shorten it to 10 or fewer"),
        (("sms", MOBILE, "Hi", "--tag", "no blanks please"), "tags: 'no blanks please' is not"),
        (("sms", MOBILE, "Hi", "--priority", "urgent"), "'urgent' is not one of 'transactional', 'bulk'"),
        (("sms", MOBILE, "Hi", "--due-at", "2026-11-24T09:00:00"), "due_at: '2026-11-24T09:00:00' has no time zone"),
        (("sms", MOBILE, "Hi", "--due-at", "tomorrow"), "due_at: 'tomorrow' is not a moment; write it as 2026-"),
        (("sms", MOBILE, "Hi", "--due-at", "9999-12-31T23:59:59-12:00"), "due_at: '9999-12-31T23:59:59-12:00' is out"),
        (("sms", MOBILE, "Hi", "--due-at", "9999-01-01T00:00:00Z"), "due_at: 9999-01-01 is more than ten years"),
        (("sms", MOBILE, "Hi", "--expires-at", "2020-01-01T00:00:00Z"), "expires_at: 2020-01-01 00:00:00 UTC is past"),
        (("sms", MOBILE, "Hi", "--due-at", "+2h", "--expires-at", "+1h"), "due_at: "),
        (("gift", MOBILE, *GIFT), "idempotency_key: a gift is money, so it needs one: give 1 to 200"),
        (("gift", MOBILE, "--sku", "A", "--amount", "0", "--currency", "AUD", "--key", "k"), "amount: '0' is not more"),
        (
            ("gift", MOBILE, "--sku", "A", "--amount", "-5", "--currency", "AUD", "--key", "k"),
            "amount: '-5' is not more",
        ),
        (("gift", MOBILE, "--sku", "A", "--amount", "1.001", "--currency", "AUD", "--key", "k"), "amount: '1.001' has"),
        (
            ("gift", MOBILE, "--sku", "A", "--amount", "NaN", "--currency", "AUD", "--key", "k"),
            "amount: 'NaN' has no digit: write it as 25.00",
        ),
        (("gift", MOBILE, "--sku", "A", "--amount", "5", "--currency", "AUX", "--key", "k"), "currency: 'AUX' is not"),
        (("gift", MOBILE, "--sku", "A B", "--amount", "5", "--currency", "AUD", "--key", "k"), "sku: is not 1 to 64"),
        (("gift", MOBILE, "--amount", "5", "--currency", "AUD", "--key", "k"), "Missing option '--sku'"),
        (("sms", MOBILE), "Missing argument 'TEXT'; `dispatcher sms --help` explains"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_no_row(
    offline: Shell, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = offline(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert offline.rows() == 0


def test_moments_are_read_from_now_on_or_with_their_zone(offline: Shell) -> None:
    ahead = offline("sms", MOBILE, "Hi", "--due-at", "+1h30m", "--expires-at", "+2d", "--json").json
    created = datetime.fromisoformat(ahead["created_at"])
    due, expires = datetime.fromisoformat(ahead["due_at"]), datetime.fromisoformat(ahead["expires_at"])
    assert abs(due - created - timedelta(minutes=90)) < timedelta(seconds=2)
    assert abs(expires - created - timedelta(days=2)) < timedelta(seconds=2)
    zoned = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    sydney = zoned.astimezone().isoformat()
    assert datetime.fromisoformat(offline("sms", MOBILE, "Hi", "--due-at", sydney, "--json").json["due_at"]) == zoned


def test_the_text_may_come_by_standard_input(offline: Shell) -> None:
    ended = offline("sms", MOBILE, "-", "--json", "--reveal", input="Your code is 1\n")
    assert ended.json["body"] == "Your code is 1"


@pytest.mark.parametrize("text", ["Hi\r\nAnn\r\n", "Hi\rAnn\r", "Hi\nAnn\n\n", "Hi\r\nAnn"])
def test_line_ends_are_one_character_however_the_text_comes(offline: Shell, text: str) -> None:
    for ended in (
        offline("sms", MOBILE, "-", "--json", "--reveal", input=text),
        offline("sms", MOBILE, text.rstrip(), "--json", "--reveal"),
    ):
        assert (ended.json["body"], ended.json["body_characters"]) == ("Hi\nAnn", 6)
    gift = offline("gift", MOBILE, *GIFT, "--key", "k", "--note", text.rstrip(), "--json", "--reveal")
    assert gift.json["gift"]["note"] == "Hi\nAnn"


@pytest.mark.parametrize("number", ["+61 491 570 006", "tel:+61-491-570-006", "+61491570006\u200b", "+٦١٤٩١٥٧٠٠٠٦"])
def test_a_number_is_read_however_it_is_spaced(offline: Shell, number: str) -> None:
    assert offline("sms", number, "Hi", "--json", "--reveal").json["recipient"] == MOBILE


@pytest.mark.parametrize("amount", ["15,00", "1.000", "5_00", "1E2", "1,000"])
def test_an_amount_that_may_be_another_is_refused_with_the_right_form(offline: Shell, amount: str) -> None:
    ended = offline("gift", MOBILE, "--sku", "A", "--amount", amount, "--currency", "EUR", "--key", "k")
    assert (ended.code, offline.rows()) == (2, 0)
    assert ended.err.startswith(f"error: amount: '{amount}' has ")
    assert ": write " in ended.err


def test_national_numbers_need_a_region(offline: Shell) -> None:
    offline.set(region="AU")
    assert offline("sms", "0491 570 006", "Hi", "--json", "--reveal").json["recipient"] == MOBILE


def test_waiting_ends_well_once_it_is_accepted(shell: Shell) -> None:
    def send() -> None:
        time.sleep(0.3)
        shell.pump()

    worker = threading.Thread(target=send)
    worker.start()
    ended = shell("sms", MOBILE, "Hi", "--wait", "10", "--json")
    worker.join()
    assert (ended.code, ended.json["state"]) == (0, "accepted")


def test_what_was_accepted_is_not_said_to_wait(shell: Shell) -> None:
    """Redis was away when the message was enqueued, and back before a worker sent it."""
    services = shell.services()
    shell.set(redis_url="redis://127.0.0.1:1/0")

    def send() -> None:
        time.sleep(0.3)
        services.pump().run()

    worker = threading.Thread(target=send)
    worker.start()
    ended = shell("sms", MOBILE, "Hi", "--wait", "10")
    worker.join()
    services.close()
    assert (ended.code, ended.err) == (0, "")
    assert "accepted" in ended.out


def test_waiting_fails_with_the_reason(shell: Shell, sandbox: SandboxControl) -> None:
    sandbox.fault(path="/sendSMS", action="status", status=400, error="invalid_recipient")
    shell.sms(key="k")
    shell.pump()
    ended = shell("sms", MOBILE, "Your code is 123456", "--key", "k", "--wait", "5")
    assert ended.code == 1
    assert "why     400 invalid_recipient" in ended.out


def test_waiting_in_vain_says_that_nothing_is_lost(shell: Shell) -> None:
    ended = shell("sms", MOBILE, "Hi", "--wait", "0.1")
    assert ended.code == 1
    assert "It is not settled yet; it stays in the ledger" in ended.err
