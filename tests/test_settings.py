"""Settings: each wrong one gets a sentence with its name; secrets hide; files and `dispatcher up` are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dispatcher import Dispatcher
from dispatcher.domain.errors import SettingsError
from dispatcher.settings import known_names, load_settings
from dispatcher.wiring import require_api


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SMS_RAET", "1/s", "did you mean DISPATCHER_SMS_RATE"),
        ("SMS_RATE", "fast", "DISPATCHER_SMS_RATE: 'fast' is not a rate"),
        ("LEASE_SECONDS", "10", "DISPATCHER_LEASE_SECONDS"),
        ("CONCURRENCY", "0", "DISPATCHER_CONCURRENCY"),
        ("CONCURRENCY", "many", "DISPATCHER_CONCURRENCY"),
        ("API_BASE_URL", "api.example.com", "DISPATCHER_API_BASE_URL"),
        ("SMS_PATH", "sendSMS", "DISPATCHER_SMS_PATH"),
        ("TRANSPORT", "carrier-pigeon", "DISPATCHER_TRANSPORT"),
        ("METRICS_PORT", "70000", "DISPATCHER_METRICS_PORT"),
        ("CLIENT_SECRET_FILE", "/no/such/file", "DISPATCHER_CLIENT_SECRET_FILE"),
        ("API_BASE_URL", "http://[", "DISPATCHER_API_BASE_URL"),
        ("API_BASE_URL", "https://", "DISPATCHER_API_BASE_URL"),
        ("READ_TIMEOUT", "nan", "DISPATCHER_READ_TIMEOUT"),
        ("CONFIGURATION_PAUSE", "inf", "DISPATCHER_CONFIGURATION_PAUSE"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(f"DISPATCHER_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert says in str(caught.value)


def test_secrets_come_from_files_and_hide_in_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cret-value\n")
    monkeypatch.setenv("DISPATCHER_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("DISPATCHER_LEDGER_URL", "postgresql://u:pa55word@db/x")
    settings = load_settings()
    assert settings.client_secret.get_secret_value() == "s3cret-value"
    assert "s3cret" not in repr(settings)
    assert "pa55word" not in repr(settings)


def test_files_that_are_no_text_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(b"\xff")
    monkeypatch.setenv("DISPATCHER_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match=r"DISPATCHER_CLIENT_SECRET_FILE: .* is not text"):
        load_settings()
    monkeypatch.delenv("DISPATCHER_CLIENT_SECRET_FILE")
    (tmp_path / ".env").write_bytes(b"DISPATCHER_SMS_RATE=7/s\n\xff")
    with pytest.raises(SettingsError, match=r"\.env: byte 24"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ledgerurl", "ledgerurl: there is no such setting; did you mean ledger_url?"),
        ("LEDGER_URL", "LEDGER_URL: there is no such setting; did you mean ledger_url?"),
        ("redis", "redis: there is no such setting"),
        ("smsrate", "smsrate: there is no such setting; did you mean sms_rate?"),
        ("colour", "colour: there is no such setting; `docs/settings.md` lists them all"),
    ],
)
def test_an_argument_that_names_no_setting_is_an_error(name: str, says: str) -> None:
    for build in (load_settings, Dispatcher.from_env):
        with pytest.raises(SettingsError) as caught:
            build(**{name: "x"})
        assert says in str(caught.value)


def test_an_unknown_name_in_a_dotenv_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DISPATCHER_LEDGERURL=sqlite://\nOTHER=${DISPATCHER_X}\n")
    with pytest.raises(SettingsError, match=r"\.env: DISPATCHER_LEDGERURL: there is no such setting; did you mean"):
        load_settings()


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DISPATCHER_SMS_RATE=7/s\nDISPATCHER_GIFT_RATE=8/s\nOTHER=1\n")
    monkeypatch.setenv("DISPATCHER_GIFT_RATE", "9/s")
    settings = load_settings()
    assert (settings.sms_rate, settings.gift_rate) == ("7/s", "9/s")


def test_what_a_running_up_left_fills_the_gaps(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "embedded.env").write_text(f"PID={os.getpid()}\nDISPATCHER_API_BASE_URL=http://127.0.0.1:9\n")
    assert load_settings().api_base_url == "http://127.0.0.1:9"
    (home / "embedded.env").write_text("PID=999999999\nDISPATCHER_API_BASE_URL=http://127.0.0.1:9\n")
    assert load_settings().api_base_url == "", "what a dead process left counts for nothing"


def test_the_api_must_be_known_and_the_secret_never_sent_in_clear() -> None:
    with pytest.raises(SettingsError, match="DISPATCHER_CLIENT_ID"):
        require_api(load_settings(api_base_url="https://api.example.com"))
    with pytest.raises(SettingsError, match="plain http"):
        require_api(load_settings(api_base_url="http://api.example.com", client_id="x", client_secret="y"))
    require_api(load_settings(api_base_url="http://127.0.0.1:8025", client_id="x", client_secret="y"))


def test_every_setting_has_a_line_of_help() -> None:
    assert all(len(help_) > 10 and help_.endswith(".") for help_ in known_names().values())


def test_a_user_without_a_home_is_asked_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "DISPATCHER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", _no_such_user)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SettingsError, match=r"DISPATCHER_HOME: not set, and the user with id \d+ has no home directory"
    ):
        load_settings()
    assert load_settings(home=tmp_path).home == tmp_path
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path))
    assert load_settings().home == tmp_path
    monkeypatch.setenv("DISPATCHER_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings().home == tmp_path / ".dispatcher", "an empty value is none"


def _no_such_user(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.mark.parametrize(
    ("given", "sms", "gift"),
    [
        ({}, 15, 31),
        ({"READ_TIMEOUT": "20"}, 20, 20),
        ({"GIFT_READ_TIMEOUT": "35"}, 15, 35),
        ({"SMS_READ_TIMEOUT": "5", "READ_TIMEOUT": "20"}, 5, 20),
        ({"READ_TIMEOUT": "2", "GIFT_READ_TIMEOUT": "40"}, 2, 40),
    ],
)
def test_each_channel_has_its_read_timeout(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sms: float, gift: float
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"DISPATCHER_{name}", value)
    settings = load_settings()
    assert {channel.value: wait.total_seconds() for channel, wait in settings.read_timeouts.items()} == {
        "sms": sms,
        "gift": gift,
    }
    assert settings.lease_seconds > settings.http_deadline.total_seconds() + 5


def test_a_lease_that_is_too_short_names_the_channel_whose_answers_take_longest() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(gift_read_timeout=55)
    assert "read timeout of gift (3.05 + 55)" in str(caught.value)
    assert "DISPATCHER_GIFT_READ_TIMEOUT lower" in str(caught.value)


@pytest.mark.parametrize(
    "written", ["write gifting:send", "write,gifting:send", " write, gifting:send ,", "write,,gifting:send\twrite"]
)
def test_scopes_may_be_separated_by_commas(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("DISPATCHER_SCOPES", written)
    assert load_settings().scope_set == {"write", "gifting:send"}
