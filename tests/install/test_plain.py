"""`pip install` of the wheel and nothing else: all that needs no extra works, the rest names its extra."""

from __future__ import annotations

import pytest

from tests.deploy.image import Installed
from tests.install import environments
from tests.install.conftest import Begin
from tests.install.journey import take

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # pip takes 10 s where nothing else runs


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return an environment with the wheel and its dependencies."""
    return environments.with_pip(tmp_path_factory.mktemp("plain") / "venv", environments.the_wheel())


def test_worker_and_clock_send_an_sms_and_a_gift(plain: Installed, begin: Begin) -> None:
    take(begin(plain))


@pytest.mark.parametrize(
    ("extra", "command", "settings"),
    [
        ("web", "web", {}),
        ("metrics", "worker", {"DISPATCHER_METRICS_PORT": "1"}),
        # tests/test_installation.py asks the others of the checkout, in a moment.
        pytest.param("metrics", "clock", {"DISPATCHER_METRICS_PORT": "1"}, marks=pytest.mark.exhaustive),
        pytest.param("aiohttp", "worker", {"DISPATCHER_TRANSPORT": "aiohttp"}, marks=pytest.mark.exhaustive),
        pytest.param("aiohttp", "check", {"DISPATCHER_TRANSPORT": "aiohttp"}, marks=pytest.mark.exhaustive),
        pytest.param("embedded", "demo", {}, marks=pytest.mark.exhaustive),
        pytest.param("embedded", "up", {}, marks=pytest.mark.exhaustive),
        pytest.param("embedded", "sandbox", {}, marks=pytest.mark.exhaustive),
    ],
)
def test_what_needs_an_extra_names_it(
    plain: Installed, begin: Begin, extra: str, command: str, settings: dict[str, str]
) -> None:
    journey = begin(plain)
    if command in ("worker", "clock"):
        journey.succeeds("migrate")
    ended = journey.command(command, **settings)
    assert ended.returncode != 0
    assert f"pip install 'dispatcher[{extra}]'" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
