"""One sandbox for all tests, as at its start before each."""

from collections.abc import Iterator

import pytest

from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox

from .caller import Caller, get_token


@pytest.fixture(scope="session")
def started_sandbox() -> Iterator[SandboxControl]:
    with running_sandbox(SandboxSettings()) as control:
        yield control


@pytest.fixture
def sandbox(started_sandbox: SandboxControl) -> SandboxControl:
    started_sandbox.reset()
    return started_sandbox


@pytest.fixture
def caller(sandbox: SandboxControl) -> Caller:
    made = Caller(sandbox.url, get_token(sandbox.url))
    sandbox.reset()
    return made
