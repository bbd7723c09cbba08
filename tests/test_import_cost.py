"""A process imports what it works with and no more: an application that enqueues loads no part of a worker."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loaded import least_cost, loaded_by
from tests.servers import free_port

PACKAGE = Path(__file__).parent.parent / "dispatcher"

ENQUEUE = """
from dispatcher import Dispatcher
with Dispatcher.from_env() as dispatcher:
    dispatcher.send_sms("+61491570006", "Your code is 123456")
"""
COMMAND = """
import sys
from dispatcher.cli import main
sys.argv = ["dispatcher", *{words!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from dispatcher import Dispatcher, Sms

start = Barrier(16)

def first(dispatcher, number):
    start.wait()
    if number % 2:
        return dispatcher.send_sms("+61491570006", f"Your code is {number}").id
    messages = [Sms(recipient="+61491570006", body=f"Your code is {number}")]
    return dispatcher.message(dispatcher.send_many(messages)[0].id).id

with Dispatcher.from_env() as dispatcher, ThreadPoolExecutor(16) as pool:
    assert len(set(pool.map(lambda number: first(dispatcher, number), range(16)))) == 16
"""
UNAVOIDABLE = "import sqlalchemy.dialects.sqlite, pydantic, redis, phonenumbers"
"""The libraries of an enqueue: their cost alone shows how fast this machine is at the moment."""

busy_at_times = pytest.mark.flaky(reruns=2, reruns_delay=1)
"""What is measured is processor time, which others lengthen little: these tests need not run alone."""

OTHERS_WORK = (
    *(
        "aiohttp",
        "alembic",
        "argon2",
        "holidays",
        "jinja2",
        "prometheus_client",
        "psycopg",
        "starlette",
        "uvicorn",
    ),
    *("billiard", "celery", "kombu", "requests", "structlog", "urllib3"),
    *("dispatcher.campaigns", "dispatcher.embedded", "dispatcher.engine", "dispatcher.gateway", "dispatcher.sandbox"),
    *("dispatcher.broker.app", "dispatcher.broker.tasks", "dispatcher.broker.worker", "dispatcher.web"),
)
"""Unwanted wherever nothing is sent and no file of recipients is read."""
UNWANTED = {
    "enqueue": (
        *OTHERS_WORK,
        *("click", "cryptography.fernet", "rich", "sqlalchemy.dialects.postgresql", "sqlalchemy.orm", "typer"),
        *("dispatcher.cli", "dispatcher.admin", "dispatcher.limits", "dispatcher.oauth", "dispatcher.telemetry"),
        *("dispatcher.domain.campaign", "dispatcher.ledger.campaigns", "dispatcher.ledger.tables"),
    ),
    "sms": (*OTHERS_WORK, "dispatcher.admin", "dispatcher.limits", "dispatcher.oauth", "dispatcher.cli.status"),
    "status": (*OTHERS_WORK, "sqlalchemy.orm", "dispatcher.cli.campaign", "dispatcher.cli.dead", "dispatcher.cli.sms"),
    "--help": (
        *OTHERS_WORK,
        *("redis", "sqlalchemy", "dispatcher.client", "dispatcher.ledger", "dispatcher.settings", "dispatcher.wiring"),
    ),
    "--version": (
        *OTHERS_WORK,
        *("phonenumbers", "pydantic", "redis", "sqlalchemy", "dispatcher.cli.sms", "dispatcher.ledger"),
    ),
}


@pytest.fixture
def environment(sqlite_template: Path, tmp_path: Path) -> dict[str, str]:
    """Settings of a migrated ledger, a Redis that is away and nothing else."""
    ledger = shutil.copy(sqlite_template, tmp_path / "ledger.db")
    return {
        "DISPATCHER_HOME": str(tmp_path / "home"),
        "DISPATCHER_LEDGER_URL": f"sqlite:///{ledger}",
        "DISPATCHER_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }


@pytest.mark.parametrize("redis_is_there", [True, False], ids=["rung", "unheard"])
def test_an_application_that_enqueues_loads_no_part_of_a_worker(
    environment: dict[str, str], tmp_path: Path, valkey: str, redis_is_there: bool
) -> None:
    if redis_is_there:
        environment["DISPATCHER_REDIS_URL"] = valkey
    loaded = loaded_by(ENQUEUE, tmp_path, environment)
    assert loaded.offenders(UNWANTED["enqueue"]) == []
    assert {"redis", "sqlalchemy", "dispatcher.broker.bell"} <= loaded.importers.keys(), "it did enqueue"
    assert len(loaded.importers) < 650


@pytest.mark.parametrize(
    "words", [["sms", "+61491570006", "Your code is 123456"], ["status"], ["--help"], ["--version"]], ids=lambda w: w[0]
)
def test_a_command_loads_no_part_of_the_others(
    environment: dict[str, str], tmp_path: Path, valkey: str, words: list[str]
) -> None:
    environment["DISPATCHER_REDIS_URL"] = valkey
    loaded = loaded_by(COMMAND.format(words=words), tmp_path, environment)
    assert loaded.offenders(UNWANTED[words[0]]) == []


def test_threads_may_enqueue_first_at_the_same_moment(environment: dict[str, str], tmp_path: Path) -> None:
    assert "dispatcher.ledger.books" in loaded_by(THREADS, tmp_path, environment).importers


def test_an_offender_is_named_with_its_importers(environment: dict[str, str], tmp_path: Path) -> None:
    loaded = loaded_by(f"{ENQUEUE}\nimport dispatcher.gateway, rich", tmp_path, environment)
    found = loaded.offenders(["dispatcher.gateway", "rich"])
    assert found == ["dispatcher.gateway imported by __main__", "rich imported by __main__"]
    assert loaded.offenders(["dispatcher.wiring"]) == [
        "dispatcher.wiring imported by dispatcher.client imported by dispatcher imported by __main__"
    ]


@busy_at_times
@pytest.mark.parametrize("redis_is_there", [True, False], ids=["rung", "unheard"])
def test_the_first_enqueue_takes_350_ms_and_60_mb_at_the_most(
    environment: dict[str, str], tmp_path: Path, valkey: str, redis_is_there: bool
) -> None:
    if redis_is_there:
        environment["DISPATCHER_REDIS_URL"] = valkey
    enqueue = least_cost(ENQUEUE, tmp_path, environment, enough=0.350)
    assert enqueue.memory <= 60
    assert enqueue.cpu <= 0.350 or enqueue.cpu <= 1.6 * _here(UNAVOIDABLE, tmp_path)


@busy_at_times
def test_a_status_takes_500_ms_at_the_most(environment: dict[str, str], tmp_path: Path, valkey: str) -> None:
    environment["DISPATCHER_REDIS_URL"] = valkey
    status = least_cost(COMMAND.format(words=["status"]), tmp_path, environment, enough=0.500)
    assert status.memory <= 70
    assert status.cpu <= 0.500 or status.cpu <= 1.8 * _here(f"{UNAVOIDABLE}, rich.table, typer", tmp_path)


def _here(program: str, folder: Path) -> float:
    """Return what the libraries alone take, where the machine is too slow or too busy for the figure itself."""
    return least_cost(program, folder, {}, enough=0).cpu


def lazy_packages() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("__init__.py")):
        if "exports(" in path.read_text() and path.parent != PACKAGE:
            yield path


@pytest.mark.parametrize("path", list(lazy_packages()), ids=lambda path: path.parent.name)
def test_a_lazy_package_exports_what_type_checkers_see(path: Path) -> None:
    package = f"dispatcher.{path.parent.name}"
    seen: dict[str, set[str]] = {}
    given: dict[str, set[str]] = {}
    exported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            seen[str(node.module).removeprefix(f"{package}.")] = {each.name for each in node.names}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "exports":
            given = {name: set(found) for name, found in ast.literal_eval(node.args[1]).items()}
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            exported = set(ast.literal_eval(node.value))
    assert given == seen
    assert set().union(*given.values()) == exported
    imported = __import__(package, fromlist=sorted(exported))
    assert all(hasattr(imported, name) for name in exported)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        imported.nothing  # noqa: B018
