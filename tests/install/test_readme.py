"""The README's first commands run unchanged on a machine that has Python and a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.composed import PROJECT
from tests.deploy.image import FOREIGN
from tests.install.environments import SYSTEM_PYTHON
from tests.install.journey import NUMBER

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]


def commands() -> list[str]:
    """Return the commands of the README's first block that installs the package."""
    blocks = re.findall(r"^```console\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (block, *_) = [block for block in blocks if "pip install" in block]
    return [line.removeprefix("$ ") for line in block.splitlines()]


def test_the_tour_begins_as_it_is_written(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    checkout = tmp_path / "checkout"
    for name in filter(None, tracked.split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, checkout / name)
    *prepare, up = commands()
    assert up == "dispatcher up"
    script = "\n".join(
        [
            *prepare,
            f"{up} > up.log 2>&1 &",
            "up=$!",
            "trap 'kill $up' EXIT",
            "until grep -q 'In another terminal' up.log; do kill -0 $up; sleep 0.2; done",
            f'dispatcher sms {NUMBER} "It works" --wait 20',
            "dispatcher status",
        ]
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    path = f"{SYSTEM_PYTHON.parent}:/usr/bin:/bin"
    typed = subprocess.run(
        ["/bin/sh", "-eu", "-c", script],
        cwd=checkout,
        env={**clean, "HOME": str(tmp_path), "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert "accepted" in typed.stdout
