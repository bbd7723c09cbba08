"""Whatever comes, the sandbox answers in its documented form and never fails itself."""

import json

import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.sandbox import SandboxControl

from .caller import CLIENT, SMS, Caller

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=6,
)
near_sms = st.dictionaries(st.sampled_from(["recipient", "message", "x"]), json_values | st.just(SMS["recipient"]))
bodies = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    near_sms.map(lambda value: json.dumps(value).encode()),
    st.integers(1, 60_000).map(lambda depth: b"[" * depth),
    st.integers(1, 60_000).map(lambda digits: b'{"recipient": ' + b"9" * digits + b"}"),
)
forms = st.one_of(
    st.binary(max_size=300),
    st.lists(st.tuples(st.sampled_from(["grant_type", "scope", "x"]), st.text(st.characters(codec="utf-8")))).map(
        lambda fields: requests.models.RequestEncodingMixin._encode_params(fields).encode()
    ),
)
# What RFC 9110, section 5.5 lets a field value hold, but for blanks.
header_characters = st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f")
calmly = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@calmly
@given(body=bodies, content_type=st.sampled_from(["application/json", "text/plain", "application/json;charset=x", ";"]))
def test_no_body_makes_send_sms_fail(caller: Caller, body: bytes, content_type: str) -> None:
    answer = requests.post(
        caller.url + "/sendSMS",
        data=body,
        headers={"Authorization": f"Bearer {caller.token}", "Content-Type": content_type},
        timeout=5,
    )
    assert answer.status_code in (200, 400, 415), answer.text
    assert answer.status_code == 200 or set(answer.json()) == {"error", "error_description"}


@calmly
@given(body=forms, header=st.none() | st.text(header_characters, max_size=60))
def test_no_body_makes_a_token_request_fail(sandbox: SandboxControl, body: bytes, header: str | None) -> None:
    answer = requests.post(
        sandbox.url + "/oauth2/token",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"}
        | ({} if header is None else {"Authorization": f"Basic {header}".encode("latin-1").decode("latin-1")}),
        auth=CLIENT if header is None else None,
        timeout=5,
    )
    assert answer.status_code in (200, 400, 401), answer.text
    assert answer.status_code == 200 or set(answer.json()) == {"error", "error_description"}


@calmly
@given(token=st.text(header_characters, max_size=80))
def test_no_token_makes_the_probe_fail(sandbox: SandboxControl, token: str) -> None:
    answer = requests.get(
        sandbox.url + "/test-oauth2", headers={"Authorization": f"Bearer {token}".encode("latin-1")}, timeout=5
    )
    assert answer.status_code == 401
