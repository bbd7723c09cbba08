"""What the Dockerfile's build makes, without Docker: the wheel from the files that it copies, installed on its own."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.deploy import dockerfile
from tests.deploy.composed import PROJECT

FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DISPATCHER_")
"""Beginnings of the variables of this machine that an installation must not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The package as it is installed somewhere: no checkout anywhere near."""

    programs: Path
    """The folder of its programs."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What finds the package, if its interpreter does not."""

    def program(self, name: str) -> str:
        """Return a program of the installation; any other is this machine's."""
        own = self.programs / name
        if own.exists():
            return str(own)
        return sys.executable if name == "python" else name

    def command(self, words: list[str]) -> list[str]:
        """Return what runs a command of the installation."""
        return [self.program(words[0]), *words[1:]]

    def start(
        self, command: list[str], variables: Mapping[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program with the variables of a container, and none of this machine's settings."""
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command(command),
                env=self._environment(variables),
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(
        self, command: list[str], variables: Mapping[str, str], folder: Path, *, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(command),
            env=self._environment(variables),
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**own, **self.variables, **variables}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Installed):
    """The wheel beside this machine's own packages, which stand in for those that an image locks."""

    wheel: Path
    packages: Path


@cache
def build_wheel() -> Path:
    """Build the wheel from nothing but what the build stage copies, once for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-wheel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    context, wheels = folder / "src", folder / "wheels"
    lay_out_context(context)
    # Here already or not: pip then fetches the build backend by itself, as the image's build does.
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    _run([*_PIP, "wheel", "--no-deps", *isolation, "--wheel-dir", str(wheels), "."], context)
    (wheel,) = wheels.glob("*.whl")
    shutil.rmtree(context)
    return wheel


def install(folder: Path) -> Image:
    """Install the wheel without its dependencies."""
    packages = folder / "packages"
    _run([*_PIP, "install", "--no-deps", "--target", str(packages), str(build_wheel())], folder)
    return Image(
        programs=packages / "bin",
        variables={"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"},
        wheel=build_wheel(),
        packages=packages,
    )


def lay_out_context(folder: Path) -> None:
    """Copy what the build stage copies, as .dockerignore lets it through."""
    folder.mkdir()
    for sources, target in dockerfile.stages()["build"].copied:
        for source in sources:
            _copy(source, folder / target / Path(source).name if target.endswith("/") else folder / target)


_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def _copy(source: str, target: Path) -> None:
    def left_out(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(PROJECT)
        return {name for name in names if not dockerfile.in_context((inside / name).as_posix())}

    if (PROJECT / source).is_dir():
        shutil.copytree(PROJECT / source, target, ignore=left_out)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / source, target)


def _run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
