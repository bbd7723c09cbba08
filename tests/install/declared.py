"""The dependencies of the package: each that is imported is declared, each that is declared is needed.

deptry compares imports and declarations for the package as a whole. It cannot know which modules an extra is for, nor
why a package that no module imports is needed all the same: that is here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy import project
from tests.deploy.composed import PROJECT
from tests.deploy.project import Project

SERVES = {
    "metrics": ("dispatcher.telemetry.endpoint", "dispatcher.telemetry.exposition", "dispatcher.telemetry.metrics"),
    "web": ("dispatcher.web",),
    "aiohttp": ("dispatcher.gateway.aio_line", "dispatcher.gateway.aiohttp_transport", "dispatcher.sandbox"),
    "embedded": ("dispatcher.embedded", "dispatcher.sandbox", "dispatcher.web"),
}
"""The modules that an installation with each extra can import; all others need no extra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a package is needed that no module of ours imports."""

    imports: str
    """The name that others import it by."""
    proof: str
    """A program that works, and fails where the package is missing."""


REASONS = {
    "packaging": Reason(imports="packaging", proof="import kombu.transport.redis"),
    "tzdata": Reason(
        imports="tzdata",
        proof="import zoneinfo; zoneinfo.reset_tzpath(()); zoneinfo.ZoneInfo('Australia/Sydney')",
    ),
    "psycopg[binary]": Reason(
        imports="psycopg_binary", proof="import psycopg; assert psycopg.pq.__impl__ == 'binary', psycopg.pq.__impl__"
    ),
    "python-multipart": Reason(
        imports="python_multipart",
        proof="from starlette.formparsers import FormParser; from starlette.datastructures import Headers; "
        "FormParser(Headers({}), None)",
    ),
    "swagger-ui-bundle": Reason(
        imports="swagger_ui_bundle", proof="from importlib.resources import files; files('swagger_ui_bundle')"
    ),
}


def faults(file: Path = project.FILE) -> list[str]:
    """Return a sentence for each disagreement between a pyproject.toml and the package's imports."""
    given = project.read(file)
    return [*_of_deptry(file), *_of_reasons(given), *_of_extras(given)]


def _of_deptry(file: Path) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command: list[str | Path] = [
            Path(sys.executable).with_name("deptry"),
            "dispatcher",
            "migrations",
            "--config",
            file,
        ]
        run = subprocess.run([*command, "--json-output", report.name], cwd=PROJECT, capture_output=True, text=True)
        found = json.loads(Path(report.name).read_text() or "null")
        assert found is not None, run.stderr
    for each in found:
        yield f"{each['error']['message']}: {each['location']['file']}"


def _of_reasons(given: Project) -> Iterator[str]:
    declared = {name for line in _everything(given) for name in _names(Requirement(line))}
    for name in REASONS.keys() - declared:
        yield f"'{name}' is needed though nothing imports it (see its proof), and not declared"
    ignored = set(given.given["tool"]["deptry"]["per_rule_ignores"]["DEP002"])
    for name in ignored ^ {name for name in REASONS if "[" not in name}:
        yield f"'{name}' must be both in [tool.deptry.per_rule_ignores] DEP002 and in REASONS"


def _of_extras(given: Project) -> Iterator[str]:
    served = {module for extra in SERVES for module in _modules(extra)}
    yield from _of_installation("no extra", given.dependencies, list(given.required()), set(_imports()) - served)
    for extra, lines in given.extras.items():
        yield from _of_installation(f"the extra {extra}", lines, list(given.required(extra)), _modules(extra))


def _of_installation(title: str, lines: list[str], required: list[Requirement], modules: set[str]) -> Iterator[str]:
    """Yield the faults of an installation: imports that it does not bring, and declarations that it does not need."""
    names = {canonicalize_name(each.name) for each in required}
    used = {name: module for module in sorted(modules) for name in _imports()[module]}
    for name in sorted(used.keys() - names):
        yield f"'{name}' is imported by {used[name]}, and an installation with {title} does not bring it"
    for line in lines:
        requirement = Requirement(line)
        if requirement.name != "dispatcher" and not {*_names(requirement)} & {*used, *REASONS}:
            yield f"'{requirement.name}' is declared for {title}, and no module that it is for imports it"


def _everything(given: Project) -> list[str]:
    return [*given.dependencies, *(line for lines in given.extras.values() for line in lines)]


def _names(requirement: Requirement) -> set[str]:
    name = canonicalize_name(requirement.name)
    return {name, *(f"{name}[{extra}]" for extra in requirement.extras)}


def _modules(extra: str) -> set[str]:
    return {module for module in _imports() if any(f"{module}.".startswith(f"{each}.") for each in SERVES[extra])}


@cache
def _imports() -> dict[str, set[str]]:
    """Return the distributions that each module of the package imports, at its top or in a function."""
    graph = grimp.build_graph(
        "dispatcher", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    owners = packages_distributions()

    def brought_by(imported: str) -> set[str]:
        top = imported.split(".", maxsplit=1)[0]
        if top == "dispatcher" or top in sys.stdlib_module_names:
            return set()
        return {canonicalize_name(name) for name in owners.get(top, [top])}

    return {
        module: {name for each in graph.find_modules_directly_imported_by(module) for name in brought_by(each)}
        for module in graph.modules
        if module.split(".")[0] == "dispatcher"
    }
