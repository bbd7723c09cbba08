"""Whatever the API answers: an outcome, evidence without anything private, and never a second gift."""

from __future__ import annotations

import base64
import html
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.attempt import Claimed
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import GIFT_POLICY, SMS_POLICY, decide
from dispatcher.domain.retry_after import LONGEST, SHORTEST, parse_retry_after
from dispatcher.domain.state import State
from dispatcher.gateway.classify import RESPONSE_CAP, Answer, Fault, FaultKind, outcome_of
from dispatcher.gateway.redact import private_of, readable
from dispatcher.oauth.answer import LONGEST_BODY, read_answer
from dispatcher.oauth.answer import Answer as TokenAnswer
from dispatcher.oauth.token import LONGEST_LIFETIME, Credentials, Minted, MintFailed
from tests.fuzz.hostile import TEXTS, repeated
from tests.fuzz.tally import TALLY, examples
from tests.gateway.messages import NOTE, NUMBER, SECRET, TEXT, TOKEN, gift, sms

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
CREDENTIALS = Credentials(
    token_url="https://api.example.com/oauth2/token",
    client_id="acme-client",
    client_secret="p&ss w/rd-very-s3cret",
    scopes=frozenset({"read", "write"}),
)
_PAIR = f"{CREDENTIALS.client_id}:{CREDENTIALS.client_secret}"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["error", "error_description", "message", "code", "detail", "id", "messageId", "message_id", "data", "x"]
statuses = st.integers(-1, 1000) | st.sampled_from([200, 202, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503])
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Location", "X"]),
    TEXTS
    | st.integers().map(str)
    | st.sampled_from(
        ["Fri, 31 Dec 1999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "31 Dec 9999 23:59:59 -2359", "1.", ".5"]
    )
    | st.sampled_from(["http://[", "https://evil.example/x?y", "//", "Fri, 31 Dec 1999", "0 Jan 0", "1e3", "12 3"]),
)


def spelled(*values: str) -> st.SearchStrategy[str]:
    """Return private values in the forms in which an answer may repeat them."""
    return st.sampled_from(
        [
            form
            for value in values
            for form in (value, json.dumps(value)[1:-1], html.escape(value), quote(value), quote_plus(value))
        ]
        + [f"+61 491 570 006, {NUMBER[1:]}, 0491-570-006, (0491) 570 006", f"Bearer {SECRET}", f'"token": "{SECRET}"']
    )


planted = st.lists(TEXTS | spelled(NUMBER, TEXT, NOTE, SECRET), max_size=5).map(" ".join)
bodies = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(FIELDS), json_values | planted | st.dictionaries(st.sampled_from(FIELDS), planted)
    ).map(lambda value: json.dumps(value).encode()),
    planted.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(lambda text, times: text.encode("utf-8", "replace") * times, planted, st.integers(1, 200)),
    st.integers(1, 60_000).map(lambda depth: b"[" * depth),
    st.integers(1, 60_000).map(lambda digits: b'{"id": ' + b"9" * digits + b"}"),
)
answers = st.builds(Answer.heard, statuses, headers, bodies, complete=st.booleans())
faults = st.builds(Fault, kind=st.sampled_from(FaultKind), bytes_left=st.booleans(), detail=st.sampled_from(["", "x"]))
DEFINITE = {
    OutcomeKind.NOT_SENT,
    OutcomeKind.THROTTLED,
    OutcomeKind.UNAUTHORIZED,
    OutcomeKind.MISCONFIGURED,
}
"""What says for certain that nothing was carried out, and that the same may be asked again."""


@examples(800)
@given(answer=answers, message=st.sampled_from([sms(), gift()]))
def test_any_answer_is_an_outcome_whose_evidence_is_short_and_tells_nothing(answer: Answer, message: Claimed) -> None:
    private = private_of(message, TOKEN)
    with TALLY.trying("answers of the API") as trial:
        outcome = outcome_of(answer, now=NOW, private=private)
        if outcome.kind is not OutcomeKind.ACCEPTED:
            trial.refuse()
        _discreet(outcome, private.text)
        assert len((outcome.response or "").encode()) <= RESPONSE_CAP
        assert len(outcome.provider_id or "") <= 200
        assert len(outcome.error or "") <= 100
        assert outcome.retry_after is None or SHORTEST <= outcome.retry_after <= LONGEST
        assert readable(outcome.response or "") == (outcome.response or "")
        _kept(outcome)


@examples(500)
@given(result=answers | faults, roll=st.floats(0, 1, exclude_max=True))
def test_invariant_2_a_gift_goes_again_only_after_a_definite_refusal(result: Answer | Fault, roll: float) -> None:
    with TALLY.trying("decisions about gifts"):
        outcome = outcome_of(result, now=NOW)
        decision = decide(GIFT_POLICY, gift(), outcome, now=NOW, roll=roll)
        if decision.state is State.QUEUED:
            assert outcome.kind in DEFINITE, outcome
            assert _certainly_nothing_happened(result), result
        if isinstance(result, Fault) and result.bytes_left:
            assert decision.state is State.IN_DOUBT


@examples(200)
@given(result=answers | faults, roll=st.floats(0, 1, exclude_max=True))
def test_every_answer_to_an_sms_is_decided(result: Answer | Fault, roll: float) -> None:
    with TALLY.trying("decisions about SMS"):
        decision = decide(SMS_POLICY, sms(), outcome_of(result, now=NOW), now=NOW, roll=roll)
        assert (decision.due_at is not None) == (decision.state is State.QUEUED)


@examples(500)
@given(
    value=TEXTS | headers.map(lambda each: each.get("Retry-After", "9" * 9)),
    date=st.none() | TEXTS | headers.map(lambda each: each.get("Date", "")),
)
def test_any_retry_after_is_a_wait_or_none(value: str, date: str | None) -> None:
    with TALLY.trying("Retry-After") as trial:
        wait = parse_retry_after(value, date=date, now=NOW)
        assert wait is None or SHORTEST <= wait <= LONGEST
        if wait is None:
            trial.refuse()


@examples(60, shrink=False)
@given(
    text=repeated(
        "9", "Bearer ", "eyJ", '"token":"', "\\", "\\u0041", "secret=", "&amp;", "1 ", "(1", "\x1b[", "{", '"'
    ),
    status=st.sampled_from([200, 400, 429, 503]),
)
def test_no_answer_takes_long_to_read(text: str, status: int) -> None:
    with TALLY.trying("answers of the API, 50,000 characters", within=2):
        outcome_of(
            Answer(status=status, body=text.encode(), retry_after=text, date=text, location=text),
            now=NOW,
            private=private_of(sms(), TOKEN),
        )
        read_answer(_answer(status, text.encode(), {"retry-after": text, "date": text}), CREDENTIALS)


GRANT: dict[str, Any] = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600, "scope": "read write"}
secrets = st.lists(
    TEXTS | spelled(CREDENTIALS.client_secret, _PAIR, base64.b64encode(_PAIR.encode()).decode()), max_size=3
).map(" ".join)
token_bodies = st.one_of(
    bodies,
    st.dictionaries(st.sampled_from([*GRANT, "error", "error_description"]), json_values | secrets).map(
        lambda changes: json.dumps(GRANT | changes).encode()
    ),
    st.just(json.dumps(GRANT).encode()),
    st.binary(min_size=LONGEST_BODY, max_size=LONGEST_BODY + 1),
)


@examples(500)
@given(
    status=statuses,
    body=token_bodies,
    headers=headers.map(lambda each: {name.lower(): value for name, value in each.items()}),
    taken=st.timedeltas(timedelta(0), timedelta(minutes=2)),
)
def test_any_answer_to_a_token_call_is_a_token_or_says_why_there_is_none(
    status: int, body: bytes, headers: dict[str, str], taken: timedelta
) -> None:
    with TALLY.trying("answers to token calls") as trial:
        read = read_answer(_answer(status, body, headers, taken), CREDENTIALS)
        match read:
            case Minted():
                assert read.value.isascii()
                assert timedelta(0) < read.lifetime <= LONGEST_LIFETIME
                assert read.value not in repr(read) or len(read.value) < 8
            case MintFailed():
                trial.refuse()
                assert len(read.reason) < 600
                assert CREDENTIALS.client_secret not in read.reason
                assert base64.b64encode(_PAIR.encode()).decode() not in read.reason
                assert read.reason.isprintable()
                assert read.retry_after is None or timedelta(0) <= read.retry_after <= timedelta(hours=1)


def _answer(
    status: int, body: bytes, headers: dict[str, str], taken: timedelta = timedelta(milliseconds=5)
) -> TokenAnswer:
    return TokenAnswer(status=status, headers=headers, body=body, taken=taken, received_at=NOW)


def _certainly_nothing_happened(result: Answer | Fault) -> bool:
    """Say so by other means than the code under test: by the table of the design."""
    if isinstance(result, Fault):
        return not result.bytes_left
    return result.status in (401, 403, 404, 405, 407, 421, 429) or 300 <= result.status < 400


def _discreet(outcome: Outcome, text: str) -> None:
    told = "\n".join(
        part for part in (outcome.error, outcome.error_description, outcome.response, outcome.provider_id) if part
    )
    for private in (
        SECRET,
        NUMBER,
        NUMBER[1:],
        "0491 570 006",
        "0491-570-006",
        "918273" if "918273" in text else SECRET,
    ):
        assert private not in told, f"{private} is told"
    for form in (text, json.dumps(text)[1:-1], html.escape(text), quote(text), quote_plus(text)):
        assert form not in told, "the message is told"


def _kept(outcome: Outcome) -> None:
    """Check that both databases can keep it."""
    for part in (outcome.error, outcome.error_description, outcome.response, outcome.provider_id):
        assert part is None or "\x00" not in part
        assert part is None or part.encode()
