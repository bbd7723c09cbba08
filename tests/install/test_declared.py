"""pyproject.toml declares the packages that this one imports or needs at run time, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy import project
from tests.deploy.composed import PROJECT
from tests.install import declared
from tests.install.declared import REASONS

GIVEN = project.read()
ENTRIES = [
    *(("dependencies", line) for line in GIVEN.dependencies),
    *((extra, line) for extra, lines in GIVEN.extras.items() for line in lines),
]


EXAMPLES = {"packaging", "orjson", "tzdata", "cryptography", "starlette"}
"""Of each kind one: imported by us, needed by others, of an extra. `make test-all` removes every entry."""


def test_every_import_is_declared_and_every_declaration_is_needed() -> None:
    assert declared.faults() == []


@pytest.mark.parametrize(
    ("where", "line"),
    [
        pytest.param(where, line, marks=[] if Requirement(line).name in EXAMPLES else pytest.mark.exhaustive)
        for where, line in ENTRIES
    ],
    ids=[f"{where}-{line}" for where, line in ENTRIES],
)
def test_an_entry_that_is_removed_is_missed_by_name(tmp_path: Path, where: str, line: str) -> None:
    given = tomllib.loads(project.FILE.read_text())
    _lines(given, where).remove(line)
    missed = declared.faults(_written(tmp_path, given))
    requirement = Requirement(line)
    name = f"the extra {where}" if requirement.name == "dispatcher" else f"'{canonicalize_name(requirement.name)}"
    assert any(name in fault for fault in missed), missed


@pytest.mark.parametrize("where", ["dependencies", *GIVEN.extras])
def test_an_entry_that_nothing_needs_is_noticed(tmp_path: Path, where: str) -> None:
    given = tomllib.loads(project.FILE.read_text())
    _lines(given, where).append("hypothesis>=6")
    assert any("'hypothesis'" in fault for fault in declared.faults(_written(tmp_path, given)))


@pytest.mark.parametrize("name", ["binary"])
def test_a_driver_without_its_library_is_noticed(tmp_path: Path, name: str) -> None:
    given = tomllib.loads(project.FILE.read_text())
    lines = _lines(given, "dependencies")
    lines[:] = [line.replace(f"[{name}]", "") for line in lines]
    assert any(f"'psycopg[{name}]'" in fault for fault in declared.faults(_written(tmp_path, given)))


@pytest.mark.parametrize("name", list(REASONS))
def test_what_nothing_imports_is_needed_all_the_same(name: str) -> None:
    reason = REASONS[name]
    assert _python(reason.proof).returncode == 0
    without = _python(f"import sys; sys.modules[{reason.imports!r}] = None; {reason.proof}")
    assert without.returncode != 0


@pytest.mark.parametrize(
    "extras", [(), *((extra,) for extra in GIVEN.extras)], ids=lambda extras: "-".join(extras) or "plain"
)
def test_all_modules_can_be_imported_where_nothing_else_is_installed(tmp_path: Path, extras: tuple[str, ...]) -> None:
    """As in an environment that pip made, in a moment: links to what it would have installed, and to nothing else."""
    modules = {module for module in declared._imports() if not module.endswith("__main__")}
    modules -= {
        module
        for extra, served in declared.SERVES.items()
        if extra not in extras
        for module in modules
        if any(f"{module}.".startswith(f"{each}.") for each in served)
    } - {module for extra in extras for module in declared._modules(extra)}
    for name in _closure(*extras):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (tmp_path / top).exists():
                (tmp_path / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    (tmp_path / "dispatcher").symlink_to(PROJECT / "dispatcher")
    program = f"from importlib import import_module\nfor name in {sorted(modules | _AT_RUN_TIME)}: import_module(name)"
    done = _python(program, "-S", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert _python("import pytest", "-S", PYTHONPATH=str(tmp_path)).returncode != 0, "nothing else is there"


_AT_RUN_TIME = {
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.components",
    "dispatcher.broker.transport",
    "kombu.transport.redis",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
}
"""What Celery, kombu and SQLAlchemy load by name for this package's settings."""


def _closure(*extras: str) -> set[str]:
    """Return the distributions that an installation with some extras brings, as far as this machine has them."""
    found: set[str] = set()
    wanted = list(GIVEN.required(*extras))
    while wanted:
        requirement = wanted.pop()
        names = {canonicalize_name(requirement.name), *(f"{requirement.name}[{each}]" for each in requirement.extras)}
        if names <= found:
            continue
        found |= names
        try:
            requires = distribution(requirement.name).requires or ()
        except PackageNotFoundError:
            continue
        for each in map(Requirement, requires):
            asked = [{"extra": extra} for extra in ("", *requirement.extras)]
            if each.marker is None or any(each.marker.evaluate(environment) for environment in asked):
                wanted.append(each)
    return {name for name in found if "[" not in name}


def _lines(given: dict[str, Any], where: str) -> list[str]:
    table = given["project"] if where == "dependencies" else given["project"]["optional-dependencies"]
    lines: list[str] = table[where]
    return lines


def _written(folder: Path, given: dict[str, Any]) -> Path:
    """Write of a pyproject.toml what declares dependencies; lists of strings are the same in JSON and TOML."""
    declares, deptry = given["project"], given["tool"]["deptry"]
    lines = [
        "[project]",
        'name = "dispatcher"',
        'version = "0"',
        f"dependencies = {json.dumps(declares['dependencies'])}",
    ]
    lines += ["[project.optional-dependencies]"]
    lines += [f"{name} = {json.dumps(each)}" for name, each in declares["optional-dependencies"].items()]
    lines += ["[tool.deptry]"]
    lines += [f"{name} = {json.dumps(each)}" for name, each in deptry.items() if not isinstance(each, dict)]
    lines += ["[tool.deptry.per_rule_ignores]"]
    lines += [f"{name} = {json.dumps(each)}" for name, each in deptry["per_rule_ignores"].items()]
    file = folder / "pyproject.toml"
    file.write_text("\n".join(lines))
    return file


def _python(program: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *options, "-c", program], env={**clean, **variables}, capture_output=True, text=True
    )
