"""Kubernetes sets variables that look like settings: they stop nothing, and no mistyped setting hides among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.domain.errors import SettingsError
from dispatcher.settings import load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))


def service(name: str, *, address: str = "10.0.171.239", port: int = 8080, protocol: str = "tcp") -> dict[str, str]:
    """Return what Kubernetes sets for a Service, as its documentation has it."""
    host = f"[{address}]" if ":" in address else address
    url = f"{protocol}://{host}:{port}"
    of_port = f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_HTTP": str(port),
        f"{name}_SERVICE_PORT_METRICS_2": "9102",
        f"{name}_PORT": url,
        of_port: url,
        f"{of_port}_PROTO": protocol,
        f"{of_port}_PORT": str(port),
        f"{of_port}_ADDR": address,
    }


@pytest.mark.parametrize("name", ["", "_WEB", "_METRICS", "_REDIS", "_SANDBOX", "_API", "_WEB_2", "_HOME"])
@pytest.mark.parametrize(
    ("address", "protocol"),
    [("10.0.171.239", "tcp"), ("fd00:10:96::1", "tcp"), ("10.1.2.3", "udp"), ("10.1.2.3", "sctp")],
)
def test_a_service_of_any_name_changes_no_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str, protocol: str
) -> None:
    before = load_settings()
    for variable, value in service(f"DISPATCHER{name}", address=address, protocol=protocol).items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == before


def test_a_setting_from_elsewhere_wins_over_the_service_of_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPATCHER_METRICS_PORT", "tcp://10.0.171.239:9102")
    assert load_settings().metrics_port == 0
    (tmp_path / ".env").write_text("DISPATCHER_METRICS_PORT=9103\n")
    assert load_settings().metrics_port == 9103
    assert load_settings(metrics_port=9104).metrics_port == 9104
    monkeypatch.setenv("DISPATCHER_METRICS_PORT", "9105")
    assert load_settings().metrics_port == 9105


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRIC_PORT", "9102"),
        ("METRICS_PORTS", "tcp://10.0.0.1:9102"),
        ("METRICS_PORT", "tcp://metrics:9102"),
        ("METRICS_PORT", "http://10.0.0.1:9102"),
        ("METRICS_PORT", "tcp://10.0.0.1"),
        ("WEB_HOST", "10.0.0.1"),
        ("WEB_SERVICE_HOST", "web.example.com"),
        ("WEB_SERVICE_PORT", "http"),
        ("WEB_PORT", "8080"),
        ("WEB_PORT_8080_TCP", "8080"),
        ("WEB_PORT_8080_TCP_ADDR", "here"),
        ("WEB_PORT_8080_HTTP", "tcp://10.0.0.1:8080"),
        ("WEB_USERS_PORT", "x"),
    ],
)
def test_what_only_resembles_one_is_a_mistake(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"DISPATCHER_{name}", value)
    with pytest.raises(SettingsError, match=f"DISPATCHER_{name}: "):
        load_settings()
