"""What the Dockerfile's build makes, without Docker: the wheel from the files that it copies, installed on its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.deploy import dockerfile
from tests.deploy.composed import PROJECT


@dataclass(frozen=True, slots=True)
class Image:
    """The package as an image has it: no checkout anywhere near."""

    wheel: Path
    packages: Path

    def program(self, name: str) -> str:
        """Return a program of the image's PATH; what is not ours is this machine's."""
        own = self.packages / "bin" / name
        if own.exists():
            return str(own)
        return sys.executable if name == "python" else name

    def start(
        self, command: list[str], variables: Mapping[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program with the variables of a container, and none of this machine's settings."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [self.program(command[0]), *command[1:]],
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
            [self.program(command[0]), *command[1:]],
            env=self._environment(variables),
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
        return {**own, "PYTHONPATH": str(self.packages), "PYTHONDONTWRITEBYTECODE": "1", **variables}


def build(folder: Path) -> Image:
    """Build the wheel from nothing but what the build stage copies, and install it without its dependencies."""
    context, wheels, packages = folder / "src", folder / "wheels", folder / "packages"
    context.mkdir()
    for sources, target in dockerfile.stages()["build"].copied:
        for source in sources:
            _copy(source, context / target / Path(source).name if target.endswith("/") else context / target)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    # Here already or not: pip then fetches the build backend by itself, as the image's build does.
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    _run([*pip, "wheel", "--no-deps", *isolation, "--wheel-dir", str(wheels), "."], context)
    (wheel,) = wheels.glob("*.whl")
    _run([*pip, "install", "--no-deps", "--target", str(packages), str(wheel)], folder)
    shutil.rmtree(context)
    return Image(wheel=wheel, packages=packages)


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
