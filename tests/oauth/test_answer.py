"""Whatever the API answers to a token call is read as a value, and never repeats a secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.oauth.answer import LONGEST_BODY, Answer, read_answer
from dispatcher.oauth.token import Credentials, FailureKind, Minted, MintFailed

CREDENTIALS = Credentials(
    token_url="https://api.example.com/oauth2/token",
    client_id="acme-client",
    client_secret="p&ss w/rd",
    scopes=frozenset({"read", "write"}),
)
GOOD = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600, "scope": "read write"}


def read(
    status: int, body: object, headers: Mapping[str, str] | None = None, *, taken: float = 0
) -> Minted | MintFailed:
    answer = Answer(
        status=status,
        headers=headers or {},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        taken=timedelta(seconds=taken),
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return read_answer(answer, CREDENTIALS)


def failed(status: int, body: object, headers: Mapping[str, str] | None = None) -> MintFailed:
    outcome = read(status, body, headers)
    assert isinstance(outcome, MintFailed)
    return outcome


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_grant_is_a_token(kind: str) -> None:
    expected = Minted(
        value="abc", lifetime=timedelta(hours=1), scopes=frozenset({"read", "write"}), taken=timedelta(seconds=1)
    )
    assert read(200, GOOD | {"token_type": kind}, taken=1) == expected


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, {"read", "write"}),
        ("read", {"read"}),
        ("  write   read ", {"read", "write"}),
        ("", set()),
        (["read"], {"read"}),
        (7, set()),
        ('read "quoted"', {"read"}),
    ],
)
def test_the_granted_scopes_are_what_the_answer_says(scope: object, granted: set[str]) -> None:
    outcome = read(200, GOOD | {"scope": scope})
    assert isinstance(outcome, Minted)
    assert outcome.scopes == granted


@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(60, 60), ("3600", 3600), (1.5, 1.5), (10**400, 300), (10**9, 86400), ({}, 300)]
)
def test_the_lifetime_is_believed_within_reason(expires_in: object, seconds: float) -> None:
    outcome = read(200, GOOD | {"expires_in": expires_in})
    assert isinstance(outcome, Minted)
    assert outcome.lifetime == timedelta(seconds=seconds)


def test_a_token_that_came_too_late_to_be_used_is_a_failure() -> None:
    outcome = read(200, GOOD | {"expires_in": 4}, taken=2)
    assert isinstance(outcome, MintFailed)
    assert outcome.kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("kind", ["mac", 7, ["Bearer"]])
def test_a_token_of_another_type_is_of_no_use(kind: object) -> None:
    assert failed(200, GOOD | {"token_type": kind}).kind is FailureKind.CONFIGURATION


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Please sign in</html>",
        b"\xff\xfe\x00",
        b"[" * 60000,
        b"[]",
        b'"text"',
        b"null",
        GOOD | {"access_token": None},
        GOOD | {"access_token": ""},
        GOOD | {"access_token": "two\r\nX-Injected: lines"},
        GOOD | {"access_token": "ünicode"},
        GOOD | {"access_token": "x" * 20000},
        json.dumps(GOOD).encode() + b" " * LONGEST_BODY,
    ],
)
def test_a_senseless_success_is_tried_again(body: object) -> None:
    assert failed(200, body).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, "invalid_client", FailureKind.CREDENTIALS),
        (401, None, FailureKind.CREDENTIALS),
        (400, "invalid_client", FailureKind.CREDENTIALS),
        (200, "invalid_client", FailureKind.CREDENTIALS),
        (400, "invalid_scope", FailureKind.SCOPE),
        (403, "insufficient_scope", FailureKind.SCOPE),
        (400, "invalid_grant", FailureKind.CONFIGURATION),
        (400, "unsupported_grant_type", FailureKind.CONFIGURATION),
        (400, None, FailureKind.CONFIGURATION),
        (403, None, FailureKind.CONFIGURATION),
        (302, None, FailureKind.CONFIGURATION),
        (404, None, FailureKind.CONFIGURATION),
        (299, "weird", FailureKind.CONFIGURATION),
        (408, None, FailureKind.TRANSIENT),
        (429, "invalid_client", FailureKind.TRANSIENT),
        (400, "temporarily_unavailable", FailureKind.TRANSIENT),
        (500, "invalid_client", FailureKind.TRANSIENT),
        (503, None, FailureKind.TRANSIENT),
        (599, None, FailureKind.TRANSIENT),
    ],
)
def test_the_answer_says_what_kind_of_trouble_it_is(status: int, error: str | None, kind: FailureKind) -> None:
    outcome = failed(status, {"error": error} if error else b"")
    assert (outcome.kind, outcome.http_status) == (kind, status)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "90.5"}, 90.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "999999999999"}, 3600),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
        ({"retry-after": "Thu, 01 Jan 2026 09:00:30 GMT", "date": "Thu, 01 Jan 2026 09:00:00 GMT"}, 30),
        ({"retry-after": "Thu, 01 Jan 2015 00:00:00 GMT"}, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float) -> None:
    assert failed(429, b"", headers).retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1,5", "²", "Thu, 99 Foo 2026"])
def test_a_senseless_retry_after_says_nothing(text: str) -> None:
    assert failed(503, b"", {"retry-after": text}).retry_after is None


@pytest.mark.parametrize(
    "echo",
    [
        "no client acme-client with p&ss w/rd",
        "p%26ss+w%2Frd",
        "Basic " + base64.b64encode(b"acme-client:p&ss w/rd").decode(),
        "p&ss\nw/rd",
    ],
)
def test_what_the_api_repeats_of_the_request_is_left_out(echo: str) -> None:
    for body in ({"error": "invalid_client", "error_description": echo}, {"error": echo}):
        reason = failed(401, body).reason
        assert "p&ss w/rd" not in reason
        assert "acme-client" not in reason
        assert echo not in reason


def test_the_reason_is_short_and_fit_for_a_log() -> None:
    reason = failed(400, {"error": "invalid_request", "error_description": "a\x1b[31m\nb\ud800" + "x" * 5000}).reason
    assert reason.isprintable()
    assert len(reason) < 500
    assert "invalid_request: a[31m b" in reason


@given(
    status=st.integers(100, 599),
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from([*GOOD, "error", "error_description"]),
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("Bearer"), st.lists(st.text())
            ),
        ).map(lambda said: json.dumps(said).encode()),
    ),
    retry_after=st.text(max_size=40),
    taken=st.floats(0, 20),
)
def test_whatever_comes_is_a_value(status: int, body: bytes, retry_after: str, taken: float) -> None:
    outcome = read(status, body, {"retry-after": retry_after}, taken=taken)
    assert isinstance(outcome, Minted | MintFailed)
    if isinstance(outcome, MintFailed):
        outcome.reason.encode()


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (without("token_type"), "no token_type"),
        (GOOD | {"token_type": None}, "no token_type"),
        (GOOD | {"error": ""}, "empty error"),
        (GOOD | {"error": None}, "empty error"),
        (GOOD | {"scope": "read,write"}, "commas"),
        (GOOD | {"scope": "read, write"}, "commas"),
        (GOOD | {"scope": ["read", "write"]}, "a list"),
        (without("expires_in"), "no expires_in"),
    ],
)
def test_what_is_odd_and_clear_all_the_same_is_taken_and_named(body: dict[str, object], says: str) -> None:
    outcome = read(200, body)
    assert isinstance(outcome, Minted)
    assert outcome.scopes == {"read", "write"}
    (oddity,) = outcome.oddities
    assert says in oddity


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"message": "Missing Authentication Token"}),
        (403, {"Message": "Missing Authentication Token"}),
        (429, {"message": "Missing Authentication Token"}),
        (400, {"error": {"code": "x", "message": "Missing Authentication Token"}}),
        (400, {"error": "", "error_description": "Missing Authentication Token"}),
    ],
)
def test_the_gateways_words_are_shown(status: int, body: dict[str, object]) -> None:
    assert "Missing Authentication Token" in failed(status, body).reason
