"""The pure part: no answer and no fault is without an outcome, and nothing private survives."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.retry_after import LONGEST, SHORTEST, parse_retry_after
from dispatcher.gateway import Answer, Fault, FaultKind, outcome_of
from dispatcher.gateway.classify import RESPONSE_CAP
from dispatcher.gateway.redact import Private, readable, redact

from .messages import NUMBER, SECRET, TEXT

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PRIVATE = Private(recipient=NUMBER, text=TEXT, secret=SECRET)

headers = st.none() | st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(lambda d: f"{d:%a, %d %b %Y}")
keys = st.sampled_from(["id", "messageId", "message_id", "data", "error", "error_description", "code", "message"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
bodies = st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode())


@given(
    st.builds(
        Answer,
        status=st.integers(),
        retry_after=headers,
        date=headers,
        location=headers,
        body=bodies,
        complete=st.booleans(),
    )
)
@example(Answer(status=429, retry_after="Wed, 31 Dec 9999 23:59:59 -2359", date="x", body=b"[" * 5000))
@example(Answer(status=307, location="http://[", body=b'{"error": {"code": 1e999}}'))
def test_every_answer_has_an_outcome(answer: Answer) -> None:
    outcome = outcome_of(answer, now=NOW, private=PRIVATE)
    assert outcome.http_status == answer.status
    assert (outcome.kind is OutcomeKind.ACCEPTED) == (200 <= answer.status < 300)
    assert outcome.retry_after is None or SHORTEST <= outcome.retry_after <= LONGEST
    for text, cap in ((outcome.provider_id, 200), (outcome.error, 100), (outcome.error_description, 500)):
        assert text is None or (len(text) <= cap and text.isprintable() and text)
    assert len((outcome.response or "").encode()) <= RESPONSE_CAP
    assert not set(outcome.response or "") & set("\x00\x07\x1b\x7f\x9b\u202e")


@given(st.sampled_from(FaultKind), st.text(max_size=20))
def test_every_fault_has_an_outcome_and_bytes_that_left_always_mean_doubt(kind: FaultKind, detail: str) -> None:
    left = outcome_of(Fault(kind=kind, bytes_left=True, detail=detail), now=NOW)
    stayed = outcome_of(Fault(kind=kind, bytes_left=False, detail=detail), now=NOW)
    assert left.kind is OutcomeKind.IN_DOUBT
    expected = OutcomeKind.MISCONFIGURED if kind is FaultKind.CERTIFICATE else OutcomeKind.NOT_SENT
    assert stayed.kind is expected
    assert left.error
    assert stayed.error


@given(st.text(max_size=60))
def test_any_retry_after_is_a_wait_within_bounds_or_none(value: str) -> None:
    wait = parse_retry_after(value, date=value, now=NOW)
    assert wait is None or SHORTEST <= wait <= LONGEST


@pytest.mark.parametrize(
    "moment",
    [
        "Wed, 04 Mar 2026 05:07:07 GMT",  # the form of today
        "Wednesday, 04-Mar-26 05:07:07 GMT",  # RFC 850
        "Wed Mar  4 05:07:07 2026",  # asctime
    ],
)
def test_all_three_forms_of_an_http_date_are_read(moment: str) -> None:
    assert parse_retry_after(moment, date=None, now=NOW) == timedelta(seconds=60)
    assert parse_retry_after(moment, date="Wed, 04 Mar 2026 05:06:57 GMT", now=NOW) == timedelta(seconds=10)
    assert parse_retry_after(moment, date="rubbish", now=NOW) == timedelta(seconds=60)


class TestRedaction:
    @pytest.mark.parametrize(
        "leak",
        [
            f"token {SECRET} expired",
            f"token {SECRET[:20]}… expired",
            "Authorization: Basic dXNlcjpwYXNzd29yZA==",
            "authorization=Bearer abc123.def",
            'got {"access_token":"plainword","x":1}',
            'got {"client_secret" : "a\\"b c"',
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0",
            "?access_token=plainword&x=1",
            '{"password":"plainword',
        ],
    )
    def test_takes_out_credentials(self, leak: str) -> None:
        kept = redact(leak, PRIVATE)
        assert "[hidden]" in kept
        for secret in (SECRET[:20], "dXNlcjpw", "abc123", "plainword", "b c", "eyJ"):
            assert secret not in kept

    @pytest.mark.parametrize(
        "prose",
        [
            "Bearer authentication required",
            "Bearer token expired.",
            "basic checks failed: error=invalid_token",
            '{"error":"invalid_scope","error_description":"basic plan only"}',
            '{"id":"018f3c9e-7a4b-7000-8000-000000000005","at":"2026-03-04T05:06:07Z","price":0.0412}',
        ],
    )
    def test_leaves_explanations(self, prose: str) -> None:
        assert redact(prose, PRIVATE) == prose

    @pytest.mark.parametrize(
        "form",
        [
            "+61491570006",
            "61491570006",
            "0491570006",
            "0491 570 006",
            "(0491) 570-006",
            "%2B61491570006",
            "491570",
            "+61 491.570.006",
            "tel:+61-491-570-006",
            "number ending 0006",
        ],
    )
    def test_takes_out_the_number_however_it_is_written(self, form: str) -> None:
        kept = redact(f'{{"to":"{form}","n":5}}', PRIVATE)
        assert "[number]" in kept
        assert not any(digits in kept for digits in ("0006", "491", "570"))

    @pytest.mark.parametrize(
        "text", [TEXT, "你好，您的包裹在墨尔本等您", 'Say "hi" & <smile>\nnow', "Hi", "Code: 918273"]
    )
    def test_takes_out_the_messages_text_however_it_is_written(self, text: str) -> None:
        private = Private(text=text)
        forms = [
            json.dumps({"message": text}),
            json.dumps({"message": text}).upper().replace("\\U", "\\u") if not text.isascii() else "{}",
            orjson.dumps({"message": text}).decode(),
            f"message={quote(text)}",
            f'"{text}"',
        ]
        for form in forms:
            outcome = outcome_of(Answer(status=400, body=form.encode()), now=NOW, private=private)
            kept = outcome.response or ""
            assert "[text]" in kept or form == "{}" or quote(text) == text
            assert text not in kept

    def test_takes_out_a_part_of_the_text(self) -> None:
        kept = redact(f'{{"error":"cannot send \'{TEXT[5:35]}\'"}}', PRIVATE)
        assert kept == '{"error":"cannot send \'[text]\'"}'

    @given(st.text(max_size=200), st.text(max_size=80), st.integers(0, 200))
    def test_never_lets_the_whole_text_through(self, before: str, text: str, at: int) -> None:
        private = Private(text=text)
        body = before[:at] + text + before[at:]
        kept = redact(readable(body), private)
        assert len(readable(text)) <= 11 or readable(text) not in kept

    def test_cuts_only_after_the_redaction(self) -> None:
        body = "x" * 4090 + SECRET + "y" * 1000
        kept = outcome_of(Answer(status=500, body=body.encode()), now=NOW, private=PRIVATE).response or ""
        assert kept.endswith("… cut at 4 kB")
        assert len(kept.encode()) == RESPONSE_CAP
        assert SECRET[:4] not in kept

    @pytest.mark.parametrize(
        "unit", ["1", "1-", "1 (", '"', '"token":"', "\\", "eyJ", "Bearer ", "\x1b[", "\x1b]", "a."]
    )
    def test_takes_no_longer_for_nasty_answers(self, unit: str) -> None:
        body = (unit * 65536)[:65536].encode()
        started = datetime.now(UTC)
        outcome_of(Answer(status=400, body=body), now=NOW, private=PRIVATE)
        assert datetime.now(UTC) - started < timedelta(seconds=0.5)
