"""What holds numbers and texts on disk is for its owner alone, under any umask; what is not is named and made so."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dispatcher import private_files
from dispatcher.engine import Quarantined, Spool
from dispatcher.ledger import make_engine
from dispatcher.ledger.engine import transaction, wal_is_safe
from dispatcher.settings import load_settings
from dispatcher.wiring import Services, secure_home, spool_folder
from tests.making import sms, wish

from .conftest import Shell


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    """Return the rights of everything below a folder, by its name."""
    return {str(path.relative_to(folder)): mode(path) for path in sorted(folder.rglob("*"))}


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    """Let nothing but the code itself keep others away."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_home_with_its_ledger_and_spool_is_for_its_owner_alone(sqlite_template: Path, tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    settings = load_settings(home=home)
    services = Services(settings)
    services.engine.dispose()
    shutil.copyfile(sqlite_template, home / "ledger.db")  # keeps the file's own rights
    now = datetime.now(UTC)
    services.books.enqueue([sms(now)], source="test")
    with transaction(services.engine) as connection:
        connection.exec_driver_sql("UPDATE dispatcher_messages SET source = 'x'")
        during = modes(home)
    services.ledger.claim(wish(now))
    spool = Spool(spool_folder(settings), "host:1", services.ledger.identity)
    spool.append([])
    spool.quarantine([Quarantined(reason="torn", line="{")])
    own = f"spool/{services.ledger.identity()}"
    services.close()
    assert mode(home) == mode(home.parent) == 0o700
    assert set(during.values()) == {0o600}
    assert len(during) >= 2, "SQLite's own file beside the ledger"
    after = modes(home)
    assert (after.pop("spool"), after.pop(own)) == (0o700, 0o700)
    assert set(after.values()) == {0o600}
    assert {f"{own}/host-1.jsonl", f"{own}/host-1.refused"} <= set(after)


def make_loose(home: Path) -> list[str]:
    home.mkdir(mode=0o755, exist_ok=True)
    home.chmod(0o755)
    for folder in ("spool", "uploads", "logs"):
        (home / folder).mkdir(exist_ok=True, mode=0o777)
    files = ["ledger.db-wal", "ledger.db-shm", "spool/a.jsonl", "uploads/b.csv", "logs/worker.log", "client.secret"]
    for file in files:
        (home / file).touch(0o644)
    (home / "link").symlink_to("/etc/passwd")
    return files


def test_check_names_what_is_open_to_others_and_closes_it(offline: Shell) -> None:
    home = Path(os.environ["DISPATCHER_HOME"])
    (home / "ledger.db").chmod(0o664)
    make_loose(home)
    passwd = mode(Path("/etc/passwd"))
    (step,) = [step for step in offline("check", "--json").json["steps"] if step["name"] == "home"]
    assert step["mark"] == "warning"
    assert str(home) in step["found"]
    assert "could read or enter" in step["found"]
    assert not [name for name, found in modes(home).items() if found & 0o077 and name != "link"]
    assert mode(home) == 0o700
    assert mode(Path("/etc/passwd")) == passwd
    (step,) = [step for step in offline("check", "--json").json["steps"] if step["name"] == "home"]
    assert (step["mark"], step["found"]) == ("ok", f"{home} is for its owner alone")


def test_a_ledger_elsewhere_is_named(offline: Shell, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.db"
    shutil.copy(Path(os.environ["DISPATCHER_HOME"], "ledger.db"), file)
    offline.set(ledger_url=f"sqlite:///{file}")
    file.chmod(0o640)
    (step,) = [step for step in offline("check", "--json").json["steps"] if step["name"] == "home"]
    assert str(file) in step["found"]
    assert mode(file) == 0o600


def test_every_process_closes_what_is_open_to_others_and_logs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    make_loose(home)
    secure_home(load_settings(home=home))
    assert not private_files.loose(home)
    assert "home_was_open" in caplog.text


@pytest.mark.parametrize("foreign", [".ssh", "photos", "sticky"])
def test_a_folder_that_is_not_ours_alone_is_left_as_it_is(tmp_path: Path, foreign: str) -> None:
    home = tmp_path / "home"
    make_loose(home)
    if foreign == "sticky":
        home.chmod(0o1777)
    else:
        (home / foreign).mkdir(0o755)
        (home / foreign / "file").touch(0o644)
    before = mode(home)
    found, left = private_files.tighten_home(home)
    assert left == [home]
    assert home / "spool" / "a.jsonl" in found
    assert mode(home) == before
    assert mode(home / "spool") == 0o700
    if foreign != "sticky":
        assert (mode(home / foreign), mode(home / foreign / "file")) == (0o755, 0o644)


def test_exports_are_for_their_owner_alone_even_if_their_file_was_not(offline: Shell, tmp_path: Path) -> None:
    assert offline("suppress", "add", "+61491570006", "--reason", "x").code == 0
    file = tmp_path / "out.csv"
    for old in (False, True):
        if old:
            file.touch()
            file.chmod(0o644)
        assert offline("suppress", "export", str(file)).code == 0
        assert mode(file) == 0o600


def test_what_is_no_file_keeps_its_rights(tmp_path: Path) -> None:
    before = mode(Path("/dev/null"))
    with open("/dev/null", "w", opener=private_files.opener) as out:
        out.write("x")
    assert mode(Path("/dev/null")) == before


def test_a_ledger_that_exists_is_closed_when_it_is_opened(sqlite_template: Path, tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, file)
    ends = ("", "-wal", "-shm") if wal_is_safe() else ("", "-journal")
    for end in ends:
        Path(f"{file}{end}").touch()
        Path(f"{file}{end}").chmod(0o644)
    make_engine(f"sqlite:///{file}").dispose()
    assert {mode(Path(f"{file}{end}")) for end in ends} == {0o600}
