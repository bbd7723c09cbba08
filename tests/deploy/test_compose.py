"""docker-compose.yml: a valid document, whose names lead somewhere, and which sets what there is to set."""

from __future__ import annotations

import json

import pytest
from compose_spec import PyCompose

from dispatcher.settings import GIFT_READ_TIMEOUT, Settings, known_names
from tests.deploy import composed, dockerfile
from tests.deploy.composed import Service

SERVICES = composed.services()
OURS = {name: service for name, service in SERVICES.items() if service.ours}
SYSTEMS = ("production", "sandbox")


def service_params(found: dict[str, Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", found.values(), ids=list(found))


def test_it_follows_the_compose_specification() -> None:
    PyCompose.from_json(json.dumps(composed.read())).validate()


def test_the_specification_would_refuse_a_wrong_name() -> None:
    wrong = composed.read()
    wrong["services"]["worker"]["helthcheck"] = wrong["services"]["worker"].pop("healthcheck")
    with pytest.raises(ValueError, match="helthcheck"):
        PyCompose.from_json(json.dumps(wrong)).validate()


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_has_every_part_and_shares_no_service(system: str) -> None:
    prefix = "" if system == "production" else "sandbox-"
    parts = {f"{prefix}{part}" for part in ("redis", "postgres", "migrate", "worker", "clock")}
    assert set(composed.services(system=system)) == parts | ({"sandbox"} if system == "sandbox" else {"web"})


def test_the_two_systems_share_no_volume_and_no_network_that_has_state() -> None:
    real, played = (composed.services(system=system).values() for system in SYSTEMS)
    for kind in ("secrets", "networks", "mounts"):
        used = [{name for each in side for name in _names(getattr(each, kind))} for side in (real, played)]
        assert used[0] & used[1] <= {"outside"}, kind


@service_params(SERVICES)
def test_its_names_lead_somewhere(service: Service) -> None:
    document = composed.read()
    assert set(service.secrets) <= set(document["secrets"])
    assert set(service.networks) <= set(document["networks"])
    assert {name for name in service.mounts.values() if not name.startswith((".", "/"))} <= set(document["volumes"])
    assert service.networks, "without a network of its own it would join the default one"
    for name, value in service.environment.items():
        if name.endswith("_FILE"):
            assert str(value).removeprefix("/run/secrets/") in service.secrets, name
    if service.ours:
        assert service.given["build"]["target"] in dockerfile.stages()


@service_params(SERVICES)
def test_it_waits_for_services_of_its_own_system_that_can_become_what_it_waits_for(service: Service) -> None:
    for name, condition in service.needs.items():
        other = SERVICES[name]
        assert other.system == service.system
        if condition == "service_healthy":
            assert other.health is not None
        else:
            assert condition == "service_completed_successfully"
            assert other.given["restart"] == "no"


def test_nothing_of_ours_starts_before_the_ledger_is_migrated() -> None:
    for prefix in ("", "sandbox-"):
        assert SERVICES[f"{prefix}migrate"].needs == {f"{prefix}postgres": "service_healthy"}
        for name in ("worker", "clock"):
            needs = SERVICES[f"{prefix}{name}"].needs
            assert needs[f"{prefix}migrate"] == "service_completed_successfully"
            assert needs[f"{prefix}redis"] == "service_healthy"


def test_every_declared_volume_and_secret_is_used() -> None:
    document = composed.read()
    assert {name for each in SERVICES.values() for name in each.mounts.values()} == set(document["volumes"])
    assert {name for each in SERVICES.values() for name in each.secrets} == set(document["secrets"])
    assert {name for each in SERVICES.values() for name in each.networks} == set(document["networks"])


@service_params(OURS)
def test_every_setting_is_one(service: Service) -> None:
    known = known_names()
    for name in service.environment:
        assert name in known or name.removesuffix("_FILE") in known, name


def test_every_setting_can_be_set() -> None:
    """A new setting that a container cannot be given is one that production does not have."""
    given = {name.removesuffix("_FILE") for name in SERVICES["worker"].environment}
    left_out = {"DISPATCHER_HOME", "DISPATCHER_ALLOW_HTTP"}  # the image's; never in production
    assert set(known_names()) - given == left_out


@service_params(OURS)
def test_settings_with_secrets_come_from_files_where_the_secret_is_real(service: Service) -> None:
    secret = {f"DISPATCHER_{name.upper()}" for name in ("ledger_url", "client_secret", "enqueue_key")}
    secret |= {"DISPATCHER_WEB_USERS", "DISPATCHER_WEB_SECRET"}
    assert all(f"{each.removeprefix('DISPATCHER_').lower()}" in Settings.model_fields for each in secret)
    if service.system == "production":
        assert [name for name in secret if service.environment.get(name) is not None] == []


@service_params(SERVICES)
def test_plain_http_is_allowed_in_the_sandbox_only(service: Service) -> None:
    if service.system == "production":
        assert "DISPATCHER_ALLOW_HTTP" not in service.environment


@pytest.mark.parametrize("name", ["sandbox-worker", "sandbox-clock"])
def test_a_worker_of_the_sandbox_has_no_way_out(name: str) -> None:
    assert all(composed.read()["networks"][each]["internal"] for each in SERVICES[name].networks)


def test_the_pages_are_for_this_machine_and_want_people() -> None:
    web = SERVICES["web"]
    assert web.given["profiles"] == ["web"]
    assert web.given["ports"] == ["127.0.0.1:8080:8080"]
    assert {"web_users", "web_secret"} <= set(web.secrets)


@pytest.mark.parametrize("name", ["worker", "clock", "sandbox-worker", "sandbox-clock"])
def test_workers_and_clocks_tell_prometheus_inside_their_networks(name: str) -> None:
    service = SERVICES[name]
    assert service.environment["DISPATCHER_METRICS_HOST"] == "0.0.0.0"
    assert service.given["expose"] == [service.environment["DISPATCHER_METRICS_PORT"]]
    assert "ports" not in service.given


@service_params(SERVICES)
def test_ports_are_published_to_this_machine_only(service: Service) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.given.get("ports", ()))


@service_params(SERVICES)
def test_it_is_restarted_and_its_health_is_looked_at_unless_it_is_done_when_it_ends(service: Service) -> None:
    if service.given["restart"] == "no":
        assert service.command == ["migrate"]
        assert service.health is None
    else:
        assert service.given["restart"] == "unless-stopped"
        check = service.given["healthcheck"]
        assert composed.seconds(check["timeout"]) <= composed.seconds(check["interval"])


@service_params(OURS)
def test_it_has_no_rights_and_a_first_process_that_hands_on_signals(service: Service) -> None:
    assert service.given["init"] is True
    assert service.given["read_only"] is True
    assert service.given["cap_drop"] == ["ALL"]
    assert "privileged" not in service.given


@pytest.mark.parametrize("name", ["worker", "sandbox-worker"])
def test_a_worker_may_finish_what_is_in_flight_and_can_be_many(name: str) -> None:
    worker = SERVICES[name]
    fields = Settings.model_fields
    longest = fields["connect_timeout"].default + GIFT_READ_TIMEOUT + fields["slice_seconds"].default
    assert worker.grace >= 2 * longest
    assert worker.given["deploy"] == {"replicas": 1}
    assert not {"container_name", "hostname", "ports"} & set(worker.given)


@service_params({name: each for name, each in OURS.items() if each.health})
def test_its_health_is_its_own_and_cheap_to_ask_for(service: Service) -> None:
    """Liveness: no program that loads the package, and no path that depends on Redis or the ledger."""
    health = service.health
    assert health is not None
    assert health[:2] == ["python", "-ISc"]
    port, path = health[-2:]
    assert path == ("/_sandbox/settings" if service.name == "sandbox" else "/healthz")
    if path == "/healthz":
        assert port in (service.environment["DISPATCHER_METRICS_PORT"], *service.command)
    assert "timeout=4" in health[2]
    assert composed.seconds(service.given["healthcheck"]["timeout"]) > 4


@pytest.mark.parametrize("name", ["redis", "sandbox-redis"])
def test_redis_evicts_nothing_and_remembers(name: str) -> None:
    words = SERVICES[name].command
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options == {"--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction"}


@service_params(SERVICES)
def test_no_image_is_whatever_is_newest(service: Service) -> None:
    if not service.ours:
        name, _, tag = service.given["image"].partition(":")
        assert name
        assert tag[:1].isdigit()


def test_no_secret_can_get_into_an_image() -> None:
    for secret in composed.read()["secrets"].values():
        assert not dockerfile.in_context(secret["file"])


def _names(found: list[str] | dict[str, str]) -> list[str]:
    return list(found.values()) if isinstance(found, dict) else found
