"""The wheel: all that is needed is inside, and it works in an empty folder, far from any checkout."""

from __future__ import annotations

import json
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from dispatcher.ledger import HEAD
from tests.deploy.composed import PROJECT
from tests.deploy.image import Image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inside(image: Image) -> set[str]:
    """Return the names of the files in the wheel."""
    with zipfile.ZipFile(image.wheel) as wheel:
        return set(wheel.namelist())


def test_every_file_of_the_package_is_inside(inside: set[str]) -> None:
    expected = {
        *(f"dispatcher/{path}" for path in _files(PROJECT / "dispatcher")),
        *(f"dispatcher/migrations/{path}" for path in _files(PROJECT / "migrations")),
        "dispatcher/examples/recipients.csv",
    }
    assert {name for name in inside if ".dist-info/" not in name} == expected


def test_what_is_not_python_is_inside_too(inside: set[str]) -> None:
    assert {"dispatcher/py.typed", "dispatcher/migrations/script.py.mako"} <= inside
    for kind in (".lua", ".sql"):
        assert any(name.endswith(kind) for name in inside), kind
    assert any(name.startswith("dispatcher/migrations/versions/") for name in inside)


def test_it_installs_the_program(image: Image, inside: set[str]) -> None:
    (name,) = (name for name in inside if name.endswith(".dist-info/entry_points.txt"))
    points = ConfigParser()
    with zipfile.ZipFile(image.wheel) as wheel:
        points.read_string(wheel.read(name).decode())
    assert dict(points["console_scripts"]) == {"dispatcher": "dispatcher.cli:main"}


def test_the_checkout_is_not_what_these_tests_run(image: Image, tmp_path: Path) -> None:
    where = image.run(["python", "-c", "import dispatcher; print(dispatcher.__file__)"], {}, tmp_path)
    assert Path(where.stdout.strip()) == image.packages / "dispatcher" / "__init__.py"


def test_it_migrates_a_ledger_from_an_empty_folder(image: Image, tmp_path: Path) -> None:
    variables = {"DISPATCHER_HOME": str(tmp_path / "home")}
    first, second = (image.run(["dispatcher", "migrate", "--json"], variables, tmp_path) for _ in range(2))
    assert json.loads(first.stdout) == {"before": None, "after": HEAD, "head": HEAD, "changed": True}
    assert json.loads(second.stdout) == {"before": HEAD, "after": HEAD, "head": HEAD, "changed": False}
    assert (tmp_path / "home" / "ledger.db").exists()


def _files(folder: Path) -> set[str]:
    """Return what is in a folder of the checkout, but for what Python leaves there."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
