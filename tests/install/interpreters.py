"""The Python versions that the package supports, and where this machine has them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.deploy.composed import PROJECT
from tests.install.environments import SYSTEM_PYTHON

SUPPORTED = ("3.11", "3.12", "3.13")
"""As the classifiers of pyproject.toml say; a version joins them once these tests have run on it."""
AWAITED = ("3.14",)
"""Versions that all dependencies are ready for, and that these tests have not run on yet."""
TOO_OLD = ("3.10", "3.9")


@cache
def found(version: str) -> Path | None:
    """Return an interpreter of a version, such as ``3.12``; None if this machine has none."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        return SYSTEM_PYTHON
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    on_path = shutil.which(f"python{version}")
    candidates = [*sorted(pyenv.glob(f"{version}.*/bin/python{version}")), *([Path(on_path)] if on_path else [])]
    return next((each for each in candidates if _runs(each, version)), None)


def of_the_image() -> str:
    """Return the version that the Dockerfile names."""
    named = re.search(r"^ARG PYTHON_VERSION=(\S+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert named is not None
    return named[1]


def _runs(python: Path, version: str) -> bool:
    """Return whether it is that version and can make environments: pyenv's shims may be neither."""
    asked = "import sys, venv, ensurepip; print('{}.{}'.format(*sys.version_info[:2]))"
    said = subprocess.run([python, "-c", asked], capture_output=True, text=True)
    return said.returncode == 0 and said.stdout.strip() == version
