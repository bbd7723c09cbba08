"""Breaks the code on purpose, one promise at a time, and sees that the test which proves the promise fails.

`python -m tests.faults.mutate` (or `make mutate`) replays the whole table in a copy of the tree. A mutation that
survives means that the promise is not tested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.mutate.table import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[3]
_COPIED = ("dispatcher", "migrations", "tests", "examples", "docs", "pyproject.toml", "README.md")
_FAILED = 1
_PATIENCE_S = 300


def main(wanted: Sequence[str]) -> int:
    """Replay every mutation, or those whose promise is named; 1 if any survived, 2 if a promise is unknown."""
    chosen = [each for each in MUTATIONS if not wanted or each.promise in wanted]
    unknown = set(wanted) - {each.promise for each in MUTATIONS}
    if unknown:
        print(f"no promise is called {', '.join(sorted(unknown))}: say its number, as in docs/guarantees.md")
        return 2
    survived = 0
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        tree = Path(folder)
        _copy(tree)
        tests = sorted({each.test for each in chosen})
        print(f"{len(tests)} tests on the code as it is ...", flush=True)
        before = _run(tree, tests)
        if before.returncode != 0:
            print(before.stdout[-3000:])
            print("they fail before anything is broken; nothing can be learned from that")
            return 1
        for mutation in chosen:
            began = time.monotonic()
            caught = _caught(tree, mutation)
            survived += not caught
            verdict = "caught" if caught else "SURVIVED"
            took = time.monotonic() - began
            print(f"{verdict:8}  {mutation.promise:>2}  {mutation.breaks}  [{mutation.test}]  {took:.0f} s", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutations were caught")
    return 1 if survived else 0


def _copy(tree: Path) -> None:
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "pictures"))
        else:
            shutil.copy(source, tree / name)


def _caught(tree: Path, mutation: Mutation) -> bool:
    place = mutation.find(tree)
    whole = place.file.read_text()
    place.file.write_text(place.replaced(mutation.new))
    try:
        return _run(tree, [mutation.test]).returncode == _FAILED
    finally:
        place.file.write_text(whole)


def _run(tree: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy, which finds its own package first."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--show-capture=no",
            "--tb=short",
            "-p",
            "no:cacheprovider",
            "-m",
            "",
            *tests,
        ],
        cwd=tree,
        env={"FUZZ_EXAMPLES": "1", **os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S * max(1, len(tests)),
        check=False,
    )
    if ran.returncode not in (0, _FAILED):
        print(ran.stdout[-3000:], ran.stderr[-2000:])
    return ran


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
