"""The sandbox as its OpenAPI describes it: what the document allows is done, all else is refused, nothing crashes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import schemathesis
from schemathesis import Case
from schemathesis.auths import AuthContext

from dispatcher.sandbox import SandboxControl
from dispatcher.sandbox.openapi import document
from tests.fuzz.tally import TALLY, HalfARow, examples
from tests.sandbox.caller import CLIENT, get_token
from tests.sandbox.conftest import sandbox, started_sandbox

__all__ = ["sandbox", "started_sandbox"]

API = schemathesis.openapi.from_dict(document("http://127.0.0.1:9"))
PATIENCE_S = 10.0
THE_TOKEN = "Bearer the-token"
"""Stands for the real one where a case is made before there is a sandbox."""


@API.auth(refresh_interval=None)
class Authorization:
    """What a client says who it is: its id and secret for a token, and that token for all else."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        basic = base64.b64encode(":".join(CLIENT).encode()).decode()
        return f"Basic {basic}" if case.path == "/oauth2/token" else THE_TOKEN

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = data


@pytest.fixture(scope="module")
def token(started_sandbox: SandboxControl) -> str:
    return get_token(started_sandbox.url)


@API.parametrize()
@examples(30)
def test_what_the_document_allows_is_done_and_all_else_is_refused(
    case: Case[Any], sandbox: SandboxControl, token: str
) -> None:
    if case.headers.get("Authorization") == THE_TOKEN:
        case.headers["Authorization"] = f"Bearer {token}"
    sandbox.reset()
    before = state_of(sandbox)
    surface = "control calls of the sandbox" if "/_sandbox/" in case.path else "calls of the API, to the sandbox"
    with TALLY.trying(surface, within=PATIENCE_S) as trial:
        answer = case.call(base_url=sandbox.url, timeout=PATIENCE_S)
        if answer.status_code >= 400:
            trial.refuse()
            if state_of(sandbox) != before:
                raise HalfARow(f"{case.method} {case.path} was refused, and yet something changed")
        case.validate_response(answer)


def state_of(sandbox: SandboxControl) -> tuple[object, ...]:
    """Return all that a call could have changed."""
    carried_out = [entry for entry in sandbox.journal() if entry.carried_out and entry.kind != "probe"]
    return sandbox.settings(), sandbox.faults(), carried_out
