"""What metrics are tested on: the engine's house and whole systems, on SQLite, since the ledger makes no difference."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.engine.conftest import house
from tests.system.conftest import system

__all__ = ["house", "system"]


@pytest.fixture
def ledger_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a migrated, empty ledger."""
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"
