"""Any environment: it is taken, or each wrong setting is named, and no secret is ever told."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from dispatcher.domain.errors import LedgerUnavailable, SettingsError
from dispatcher.settings import EMBEDDED_FILE, PREFIX, Settings, load_settings, read_embedded
from dispatcher.web.people import read_people
from dispatcher.wiring import Services, require_api
from tests.fuzz.hostile import TEXTS
from tests.fuzz.tally import TALLY, examples

NAMES = [PREFIX + name.upper() for name in Settings.model_fields]
"""From the model itself, so that a new setting is tried too."""
SECRETS = [PREFIX + name.upper() for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
PLANTED = "pl4nted-s3cret"

ODD = (
    *("nan", "inf", "-inf", "1e308", "1e-308", "1e400", "0", "-1", "9" * 5000, "true", "x", " ", "", "\udcff"),
    *("/", "//", "50/s", "http://[", "http://", "https://x:99999", "redis://[", "sqlite://", "postgresql://[", "\r\n"),
)
FORMS = (
    *(
        "{}",
        "postgresql://u:{}@[",
        "sqlite://u:{}@",
        "nosuch://u:{}@h/d",
        "redis://:{}@[",
        "redis://:{}@h:x",
        "http://u:{}@[",
    ),
    *("name:root:{}", "name:viewer:{}", "{}=", "\udcff{}"),
)
"""What a secret may stand in."""
values = st.one_of(
    st.binary(max_size=30).map(os.fsdecode).map(lambda text: text.replace("\x00", "")),  # no environment holds a NUL
    st.sampled_from(ODD),
    st.integers().map(str),
    st.floats().map(str),
)
environments = st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=4)
files = st.binary(max_size=40) | values.map(lambda text: text.encode("utf-8", "surrogateescape"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@examples(300)
@given(environment=environments, secret=st.sampled_from(SECRETS), form=st.sampled_from(FORMS))
@example(environment={"DISPATCHER_READ_TIMEOUT": "nan"}, secret="DISPATCHER_CLIENT_SECRET", form="{}")
@example(environment={"DISPATCHER_CONFIGURATION_PAUSE": "inf"}, secret="DISPATCHER_CLIENT_SECRET", form="{}")
@example(environment={"DISPATCHER_API_BASE_URL": "http://["}, secret="DISPATCHER_CLIENT_SECRET", form="{}")
def test_any_environment_is_taken_or_refused_by_the_names_of_its_settings(
    tmp_path: Path, environment: dict[str, str], secret: str, form: str
) -> None:
    asked = {"DISPATCHER_HOME": str(tmp_path), **environment, secret: form.format(PLANTED)}
    with only(asked), TALLY.trying("settings", SettingsError) as trial:
        settings = load_settings()
        assert PLANTED not in repr(settings)
        _used(settings)
    if trial.refusal is not None:
        _names_one_of(str(trial.refusal), asked)


@pytest.mark.parametrize("name", NAMES)
def test_no_odd_value_of_a_setting_crashes(name: str) -> None:
    for value in ODD:
        with only({name: value}), TALLY.trying("settings", SettingsError) as trial:
            _used(load_settings())
        if trial.refusal is not None:
            _names_one_of(str(trial.refusal), {name: value})


@examples(200)
@given(name=st.sampled_from(NAMES), content=files)
def test_any_file_of_a_setting_is_read_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "value"
    path.write_bytes(content)
    _with_file(tmp_path, name, path)


@pytest.mark.parametrize("odd", ["", ".", "/no/such/file", "/dev/null", "a" * 5000, "loop", "latin"])
def test_an_odd_path_of_a_settings_file_is_read_or_refused(tmp_path: Path, odd: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "latin").write_bytes("Zoë".encode("latin-1"))
    for name in NAMES:
        _with_file(tmp_path, name, tmp_path / odd if odd in ("loop", "latin") else Path(odd))


def _with_file(home: Path, name: str, path: Path) -> None:
    asked = {f"{name}_FILE": str(path)} | ({} if name == "DISPATCHER_HOME" else {"DISPATCHER_HOME": str(home)})
    with only(asked), TALLY.trying("settings from files", SettingsError) as trial:
        _used(load_settings())
    if trial.refusal is not None:
        assert name in str(trial.refusal) or "DISPATCHER_LEASE_SECONDS" in str(trial.refusal)


@examples(100)
@given(
    content=st.binary(max_size=60)
    | environments.map(lambda each: "\n".join(map("=".join, each.items())).encode("utf-8", "surrogateescape"))
)
def test_any_dotenv_file_is_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    with only({"DISPATCHER_HOME": str(tmp_path)}), TALLY.trying(".env files", SettingsError) as trial:
        _used(load_settings())
    if trial.refusal is not None:
        assert PREFIX in str(trial.refusal) or ".env" in str(trial.refusal)


@examples(100)
@given(
    content=st.binary(max_size=60)
    | st.sampled_from(["PID=", "PID=0", "PID=-1", "PID=9" * 9, "PID=" + "9" * 30]).map(str.encode)
)
def test_whatever_an_up_left_is_read_or_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / EMBEDDED_FILE).write_bytes(content)
    with TALLY.trying("what `up` left"):
        read_embedded(tmp_path)


@examples(200)
@given(
    text=TEXTS
    | st.lists(st.tuples(TEXTS, st.sampled_from(["view", "root"]), st.just("$argon2") | TEXTS)).map(
        lambda entries: ";".join(map(":".join, entries))
    )
)
def test_any_list_of_people_is_read_or_refused(text: str) -> None:
    with TALLY.trying("settings", SettingsError) as trial:
        read_people(text)
    assert trial.refusal is None or "DISPATCHER_WEB_USERS" in str(trial.refusal)


@contextmanager
def only(environment: Mapping[str, str]) -> Iterator[None]:
    """Set these variables of ours and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with mock.patch.dict(os.environ, {**others, **environment}, clear=True):
        yield


def _names_one_of(refusal: str, asked: Mapping[str, str]) -> None:
    assert any(name in refusal for name in asked), refusal
    assert PLANTED not in refusal, "a secret is told"


def _used(settings: Settings) -> None:
    """Do what every process does with its settings before it goes to work."""
    assert settings.http_deadline.total_seconds() > 0
    assert str(settings.ledger)
    assert all(rate.per_second > 0 for rate in settings.rates)
    assert settings.scope_set is not None
    services = Services(settings)
    assert services.policies
    assert services.endpoints
    assert services.intake.max_attempts > 0
    services.redis.close()
    with suppress(LedgerUnavailable):
        services.engine.dispose()
    if settings.api_base_url and settings.client_id and settings.client_secret.get_secret_value():
        require_api(settings)
