"""Every Python that pyproject.toml names runs everything; one that is too old is refused in a sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy import dockerfile, project
from tests.deploy.composed import PROJECT
from tests.deploy.image import build_wheel
from tests.install import environments, interpreters
from tests.install.conftest import Begin
from tests.install.environments import UV, run, the_wheel
from tests.install.interpreters import AWAITED, SUPPORTED, TOO_OLD, found
from tests.install.journey import take


def where(version: str) -> str:
    return f"{version} at {found(version) or 'no place'}"


def interpreter(version: str) -> Path:
    return found(version) or pytest.skip(f"no Python {version} on this machine: neither on PATH nor in pyenv's folder")


def test_pyproject_names_the_versions_that_are_tried() -> None:
    prefix = "Programming Language :: Python :: 3."
    named = [each for each in project.read().given["project"]["classifiers"] if each.startswith(prefix)]
    assert [each.rpartition(" ")[2] for each in named] == list(SUPPORTED)
    assert project.read().given["project"]["requires-python"] == f">={SUPPORTED[0]}"
    assert interpreters.of_the_image() in SUPPORTED


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", SUPPORTED, ids=where)
def test_a_supported_python_runs_everything(begin: Begin, tmp_path: Path, version: str) -> None:
    installed = environments.with_uv(tmp_path / "venv", the_wheel("web"), python=interpreter(version))
    assert installed.run(["python", "-V"], {}, tmp_path).stdout.startswith(f"Python {version}.")
    take(begin(installed), metrics=True, pages=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("platform", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"])
@pytest.mark.parametrize("version", [*SUPPORTED, *AWAITED])
def test_the_locked_releases_are_wheels_for_every_version(tmp_path: Path, version: str, platform: str) -> None:
    """``--dry-run`` resolves and compares hashes; it needs no interpreter of that version."""
    asked = ("--python-version", version, "--python-platform", platform, "--only-binary", ":all:", "--require-hashes")
    lock = PROJECT / "requirements" / "dispatcher.lock"
    run(UV, "pip", "install", "--no-config", "--dry-run", "--target", tmp_path / "target", *asked, "-r", lock)


@pytest.mark.parametrize("version", TOO_OLD, ids=where)
def test_make_refuses_a_python_that_is_too_old(tmp_path: Path, version: str) -> None:
    old = interpreter(version)
    made = subprocess.run(
        ["make", "install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"], cwd=PROJECT, capture_output=True, text=True
    )
    assert made.returncode != 0
    assert made.stderr.startswith(f"error: Python 3.11 or newer is needed, {old} is not: make install PYTHON=")
    assert not (tmp_path / "venv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("version", TOO_OLD, ids=where)
def test_pip_refuses_a_python_that_is_too_old(tmp_path: Path, version: str) -> None:
    refused = subprocess.run(
        [interpreter(version), "-m", "pip", "install", "--no-deps", "--target", tmp_path, build_wheel()],
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0
    assert "requires a different Python" in refused.stderr
    assert "not in '>=3.11'" in refused.stderr


def test_a_build_whose_locks_lack_something_ends_with_the_command_that_helps(tmp_path: Path) -> None:
    """The Dockerfile's own line, in an environment that has the wheel and none of its dependencies."""
    installed = environments.with_uv(tmp_path / "opt", "--no-deps", the_wheel())
    run(UV, "pip", "install", "--quiet", "--no-config", "--python", installed.program("python"), "pip")
    (line,) = [line for line in dockerfile.stages()["build"].all("RUN") if " check " in line]
    ended = subprocess.run(
        ["/bin/sh", "-euc", line.replace("/opt/dispatcher", str(tmp_path / "opt"))],
        env={**os.environ, "PATH": f"{installed.programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "requires packaging, which is not installed" in ended.stdout
    assert ended.stderr.endswith("requirements/*.lock do not match pyproject.toml: run make lock, then build again\n")
