"""`python -m tests.faults.chaos --minutes 10 --seed 1..5`: long runs, each seed on both stacks side by side."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.chaos.books import as_text
from tests.faults.chaos.run import run
from tests.faults.chaos.world import Stack

_RESULTS = Path("test-output/chaos")


def main() -> int:
    """Run what was asked for; 1 if any books did not balance."""
    asked = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    asked.add_argument("--minutes", type=float, default=2.0, help="how long faults strike (default 2)")
    asked.add_argument("--seed", default="1", help="a number, or several as 1..5 (default 1)")
    asked.add_argument("--stack", choices=[stack.value for stack in Stack], help="only this one (default both at once)")
    asked.add_argument(
        "--rate", type=float, default=60.0, help="messages a second of each of two producers (default 60)"
    )
    asked.add_argument("--keep", action="store_true", help="keep the folder with logs, receipts and the SQLite file")
    given = asked.parse_args()
    first, _, last = given.seed.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    if given.stack is not None and len(seeds) == 1:
        return _one(Stack(given.stack), seeds[0], given)
    return max(_side_by_side(seed, given) for seed in seeds)


def _side_by_side(seed: int, given: argparse.Namespace) -> int:
    """Run one seed on each stack, in processes of their own."""
    stacks = [given.stack] if given.stack is not None else [stack.value for stack in Stack]
    more = ["--minutes", str(given.minutes), "--rate", str(given.rate), *(["--keep"] if given.keep else [])]
    runs = [
        subprocess.Popen([sys.executable, "-m", __package__ or "", "--stack", stack, "--seed", str(seed), *more])
        for stack in stacks
    ]
    return max(run.wait() for run in runs)


def _one(stack: Stack, seed: int, given: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{stack.value}-{seed}-"))
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{stack.value} {seed}] {line}", flush=True)

    report = run(stack, seed=seed, seconds=given.minutes * 60, folder=folder, rate=given.rate, say=say)
    _RESULTS.mkdir(parents=True, exist_ok=True)
    result = report.as_json() | {"wall_s": round(time.monotonic() - began)}
    (_RESULTS / f"{stack.value}-{seed}.json").write_text(json.dumps(result, indent=1) + "\n")
    faults = f"{report.faults.total()} faults of {len(report.faults)} kinds"
    verdict = "the books balance" if report.verdict.holds else "THE BOOKS DO NOT BALANCE"
    print(f"[{stack.value} {seed}] {verdict}: {faults}\n{as_text(report.verdict)}", flush=True)
    if given.keep or not report.verdict.holds:
        print(f"[{stack.value} {seed}] kept: {folder}", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if report.verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
