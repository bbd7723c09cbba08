"""The wheel holds all that it needs and works in an empty folder, far from any checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
    )
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
def test_scripts_migrations_and_types_travel_inside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("limits", "oauth", "ledger"):
        for script in (ROOT / "dispatcher" / folder).rglob("*"):
            if script.suffix in (".lua", ".sql"):
                assert str(script.relative_to(ROOT)) in names
    assert {"dispatcher/py.typed", "dispatcher/examples/recipients.csv"} <= names
    for migration in (ROOT / "migrations").rglob("*.py"):
        assert f"dispatcher/{migration.relative_to(ROOT)}" in names
    assert not any(name.startswith("tests/") for name in names)


@pytest.mark.slow
def test_migrate_works_from_the_installed_package_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    place, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(place)
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        "DISPATCHER_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        "DISPATCHER_HOME": str(tmp_path / "home"),
    }
    script = "import dispatcher, sys; print(dispatcher.__file__); from dispatcher.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "migrate"], env=environment, cwd=empty, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(place) in done.stdout
    assert (tmp_path / "ledger.db").exists()
