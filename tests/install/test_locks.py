"""The locks, installed as the Dockerfile installs them: its own RUN lines, hashes included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.image import Installed
from tests.install import interpreters
from tests.install.built import build
from tests.install.conftest import Begin
from tests.install.environments import run
from tests.install.journey import answers, take
from tests.servers import free_port

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]

PYTHONS = sorted({interpreters.of_the_image(), interpreters.SUPPORTED[0]})
"""The image's, and the oldest: a lock that was made for one of them serves all between."""


def python(version: str) -> Path:
    found = interpreters.found(version)
    return found or pytest.skip(f"no Python {version} on this machine")


@pytest.fixture(scope="module", params=PYTHONS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the environment of the production image."""
    return build(tmp_path_factory.mktemp("image"), python=python(request.param))


def test_the_locks_hold_all_that_the_wheel_asks_for(image: Installed) -> None:
    run("pip", "--python", image.program("python"), "check")


def test_everything_runs_on_postgresql_from_the_lock(image: Installed, begin: Begin, empty_database: str) -> None:
    take(begin(image, ledger_url=empty_database), metrics=True, pages=True)


def test_everything_runs_on_aiohttp_from_the_lock(image: Installed, begin: Begin) -> None:
    take(begin(image, DISPATCHER_TRANSPORT="aiohttp"), metrics=True)


def test_the_sandbox_serves_from_its_lock(tmp_path: Path, begin: Begin) -> None:
    image = build(tmp_path / "image", target="sandbox", python=python(interpreters.of_the_image()))
    journey, port = begin(image), free_port()
    url = f"http://127.0.0.1:{port}"
    journey.start("sandbox", "--port", str(port), until=url)
    assert answers(f"{url}/_sandbox/settings") == 200
    assert answers(f"{url}/docs") == 200, "the explorer's files are in the lock"
    assert journey.stop_all() == {"sandbox": 0}
