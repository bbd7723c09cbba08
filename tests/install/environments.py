"""Virtual environments as users make them, from the built wheel: with pip, or with uv where its outcome is the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.image import FOREIGN, Installed, build_wheel

UV = Path(sys.executable).with_name("uv")
SYSTEM_PYTHON = Path(os.path.realpath(sys.executable))
"""The interpreter that this test environment was made from; an environment made from it sees nothing of this one."""


def with_pip(folder: Path, *requirements: str, python: Path = SYSTEM_PYTHON) -> Installed:
    """Make an environment with venv and pip, as the documentation tells users to."""
    made = _empty(folder, python)
    # Compiling is a third of the time, and the files are the same without it.
    run(made.program("python"), "-m", "pip", "install", "--quiet", "--no-compile", *requirements)
    return made


def with_uv(folder: Path, *requirements: str, python: Path = SYSTEM_PYTHON) -> Installed:
    """Make an environment that has what pip would install, in a tenth of the time."""
    run(UV, "venv", "--quiet", "--no-config", "--python", python, folder)
    run(UV, "pip", "install", "--quiet", "--no-config", "--python", folder / "bin" / "python", *requirements)
    return Installed(programs=folder / "bin")


def the_wheel(*extras: str) -> str:
    """Return the requirement of the built wheel with some extras."""
    wheel = build_wheel()
    return f"dispatcher[{','.join(extras)}] @ {wheel.as_uri()}" if extras else str(wheel)


def run(*command: str | Path, folder: Path | None = None, variables: dict[str, str] | None = None) -> str:
    """Run a program as a user's shell would, and return its output.

    :raises AssertionError: it failed; with its output.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    ended = subprocess.run(
        [str(word) for word in command],
        env={**clean, **(variables or {})},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout}"
    return ended.stdout


def _empty(folder: Path, python: Path) -> Installed:
    run(python, "-m", "venv", folder)
    # Python 3.11 puts setuptools into every environment; later ones do not, so nothing may need it.
    for name in ("setuptools", "pkg_resources", "_distutils_hack"):
        for found in folder.glob(f"lib/*/site-packages/{name}*"):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    for found in folder.glob("lib/*/site-packages/distutils-precedence.pth"):
        found.unlink()
    return Installed(programs=folder / "bin")
