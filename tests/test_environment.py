"""Where people run it: files of others, folders that cannot be entered, odd names, databases with other defaults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

import dispatcher
from dispatcher import Dispatcher
from dispatcher.client import acting_as
from dispatcher.domain.errors import SettingsError
from dispatcher.ledger import HEAD, Books, current, make_engine, migrate
from dispatcher.ledger.engine import sqlite_file
from dispatcher.settings import load_settings, sqlite_url
from dispatcher.wiring import Services
from tests.ledgers import Postgres
from tests.making import sms

UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Root reads everything; without its capabilities it has the rights that files give it."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))


def run(folder: Path, setup: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, after a line of shell."""
    environment = {**os.environ, "PYTHONPATH": str(Path(dispatcher.__file__).parents[1])}
    script = f'cd "$1" && {setup} && shift && exec "$@"'
    command = [*UNPRIVILEGED, sys.executable, "-P", "-m", "dispatcher", *arguments]
    return subprocess.run(
        ["sh", "-c", script, "sh", str(folder), *command], env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_dotenv_file_of_somebody_else_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DISPATCHER_SMS_RATE=7/s\n")
    ended = run(tmp_path, "chmod 0 .env", "migrate")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f".env: {tmp_path / '.env'} cannot be read (Permission denied); let this user read it" in ended.stderr


def test_a_working_folder_that_cannot_be_entered_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "of somebody else"
    folder.mkdir()
    (folder / ".env").write_text("DISPATCHER_SMS_RATE=fast\n")
    for command in (["migrate"], ["status"], ["sms", "+61491570006", "Hello"]):
        ended = run(folder, "chmod 0 .", *command)
        folder.chmod(0o700)
        assert ended.returncode == 0, ended.stderr


def test_a_working_folder_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    ended = run(tmp_path / "gone", 'rmdir "$1"', "migrate")
    assert ended.returncode == 0, ended.stderr


def test_a_byte_order_mark_is_no_part_of_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cret\r\n", encoding="utf-8-sig")
    monkeypatch.setenv("DISPATCHER_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    (tmp_path / ".env").write_text("DISPATCHER_SMS_RATE=7/s\r\n", encoding="utf-8-sig")
    settings = load_settings()
    assert (settings.client_secret.get_secret_value(), settings.sms_rate) == ("s3cret", "7/s")
    (tmp_path / "secret").write_text("s3cret", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"DISPATCHER_CLIENT_SECRET_FILE: .* is not text in UTF-8"):
        load_settings()


@pytest.mark.parametrize("name", ["100% new", "a%20b", "%(here)s", "what?", "a@b#c", "ü ñ"])
def test_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    settings = load_settings(home=tmp_path / name)
    services = Services(settings)
    migrate(services.engine)
    services.close()
    assert (tmp_path / name / "ledger.db").stat().st_size > 0
    assert sqlite_file(settings.ledger) == tmp_path / name / "ledger.db"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["100% new", "%(here)s"])
def test_the_package_may_be_installed_under_any_name(tmp_path: Path, name: str) -> None:
    root, installed = Path(dispatcher.__file__).parents[1], tmp_path / name
    shutil.copytree(root / "dispatcher", installed / "dispatcher", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "migrations", installed / "dispatcher" / "migrations")
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from dispatcher.cli import main; main()"
    ended = subprocess.run([sys.executable, "-P", "-c", code, "migrate"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    engine = make_engine(sqlite_url(tmp_path / "home" / "ledger.db"))
    assert current(engine) == HEAD
    engine.dispose()


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY", "ISO, YMD"])
def test_a_database_may_write_times_as_it_likes(postgres: Postgres, fresh_postgres: str, style: str) -> None:
    name = make_url(fresh_postgres).database
    for setting in (f"DateStyle = '{style}'", "TimeZone = 'Australia/Lord_Howe'", "IntervalStyle = 'sql_standard'"):
        postgres.execute(f"ALTER DATABASE {name} SET {setting}")
    engine = make_engine(fresh_postgres)
    now = datetime(2026, 11, 12, 13, 14, 15, 160000, tzinfo=UTC)
    message = sms(now)
    Books(engine=engine).enqueue([message], source="test")
    assert Books(engine=engine).message(message.id).created_at == now
    migrate(engine, target="base")
    migrate(engine)
    engine.dispose()
    for setting in ("DateStyle", "TimeZone", "IntervalStyle"):
        postgres.execute(f"ALTER DATABASE {name} RESET {setting}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mona:first@second@db.example.com/ledger",
        "postgresql+psycopg://mona:first@second@db.example.com:5432/ledger?sslmode=require",
        "postgresql://mona:first@second/third@db.example.com/ledger",
        "postgresql://mona:first@second:third@db.example.com/ledger",
        "postgresql://mona:first@second?third@db.example.com/ledger",
        "postgresql://mona:first@@db.example.com/ledger",
        "postgres://mona:first@second@db.example.com/ledger",
        "postgresql+asyncpg://mona:first@second@db.example.com/ledger",
    ],
)
def test_an_at_in_a_password_is_explained_and_no_part_of_it_is_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_engine(url)
    assert "an @ in its password is written as %40" in str(caught.value)
    for part in ("first", "second", "third"):
        assert part not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["postgresql://mona@server:first%40second@db.example.com/ledger", "postgresql:///ledger?host=/run/postgresql"],
)
def test_a_url_that_is_right_is_taken(url: str) -> None:
    engine: Engine = make_engine(url)
    assert engine.url.database == "ledger"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "postgresql+asyncpg://u:pw@db/ledger",
            "postgresql+asyncpg is a driver for asyncio; use postgresql+psycopg://…",
        ),
        ("postgresql+psycopg_async://u:pw@db/x", "is a driver for asyncio; use postgresql+psycopg://…"),
        ("sqlite+aiosqlite:////tmp/x.db", "sqlite+aiosqlite is a driver for asyncio; use sqlite:///…"),
        ("mysql+aiomysql://u:pw@db/x", "is a driver for asyncio; use postgresql+psycopg://…"),
    ],
)
def test_a_driver_for_asyncio_is_refused_in_one_sentence(url: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_engine(url)
    assert says in str(caught.value)
    assert "pw" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_user_may_have_any_name_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert acting_as("cli") == "cli:uid 54321"
    monkeypatch.setenv("LOGNAME", "m\udcfcller")
    engine = make_engine(load_settings().ledger)
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT :name"), {"name": acting_as("cli")}).scalar_one() == "cli:m?ller"
    engine.dispose()


def test_an_applications_own_session_may_write_times_as_it_likes(
    postgres: Postgres, fresh_postgres: str, tmp_path: Path
) -> None:
    name = make_url(fresh_postgres).database
    postgres.execute(f"ALTER DATABASE {name} SET DateStyle = 'German'")
    application = create_engine(fresh_postgres)
    with Dispatcher(load_settings(ledger_url=fresh_postgres), source="shop") as client:
        for _ in range(2):
            with Session(application) as session:
                client.send_sms("+61491570006", "Hello", idempotency_key="order-1", session=session)
                session.commit()
    application.dispose()
    postgres.execute(f"ALTER DATABASE {name} RESET DateStyle")
