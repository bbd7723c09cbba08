"""The OpenAPI document says what the server does, and the explorer needs nothing from elsewhere."""

import re
from typing import Any

import pytest
import requests

from dispatcher.sandbox import SandboxControl, SandboxSettings
from dispatcher.sandbox.openapi import document
from dispatcher.sandbox.provider import Provider
from dispatcher.sandbox.server import application

PAGES = {"/", "/docs", "/docs/explorer.js", "/docs/{asset}", "/openapi.json"}


def test_the_document_has_every_route_and_no_other() -> None:
    served = {
        (route.resource.canonical, route.method)
        for route in application(Provider(SandboxSettings())).router.routes()
        if route.resource is not None and route.resource.canonical not in PAGES
    }
    described = {
        (path, method.upper()) for path, methods in document("http://sandbox")["paths"].items() for method in methods
    }
    assert described == served


def references_in(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references_in(value) for value in part.values()))
    if isinstance(part, list):
        return set().union(*(references_in(value) for value in part))
    return set()


def test_every_reference_in_the_document_leads_somewhere() -> None:
    made = document("http://sandbox")
    for reference in references_in(made):
        target = made
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_the_document_is_for_the_address_that_was_asked(sandbox: SandboxControl) -> None:
    made = requests.get(sandbox.url + "/openapi.json", timeout=5).json()
    assert made["openapi"] == "3.1.0"
    assert made["servers"] == [{"url": sandbox.url}]
    flow = made["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == sandbox.url + "/oauth2/token"
    assert len(flow["scopes"]) == 9


def test_the_document_can_be_had_for_tools_of_the_version_before(sandbox: SandboxControl) -> None:
    new, old = (
        requests.get(f"{sandbox.url}/openapi.json?version={version}", timeout=5).json() for version in ("3.1", "3.0")
    )
    assert old == new | {"openapi": "3.0.3"}
    assert requests.get(f"{sandbox.url}/openapi.json?version=2", timeout=5).status_code == 400


def test_the_base_url_leads_to_the_explorer(sandbox: SandboxControl) -> None:
    answer = requests.get(sandbox.url, timeout=5)
    assert answer.url == sandbox.url + "/docs"
    assert answer.headers["Content-Type"].startswith("text/html")


def test_the_explorer_loads_only_what_the_sandbox_serves(sandbox: SandboxControl) -> None:
    page = requests.get(sandbox.url + "/docs", timeout=5)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    wanted = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(wanted) == 5
    for path in wanted:
        assert path.startswith("/")
        assert requests.get(sandbox.url + path, timeout=5).status_code == 200


def test_the_explorer_shows_this_document(sandbox: SandboxControl) -> None:
    script = requests.get(sandbox.url + "/docs/explorer.js", timeout=5).text
    (path,) = re.findall(r'url: "([^"]*)"', script)
    assert requests.get(sandbox.url + path, timeout=5).json()["openapi"].startswith("3.0.")


@pytest.mark.parametrize("asset", ["nothing.js", "..%2f__init__.py", "swagger-ui.css.map"])
def test_no_other_file_is_served(sandbox: SandboxControl, asset: str) -> None:
    assert requests.get(f"{sandbox.url}/docs/{asset}", timeout=5).status_code == 404


def test_looking_at_the_explorer_is_not_written_down(sandbox: SandboxControl) -> None:
    requests.get(sandbox.url, timeout=5)
    assert sandbox.journal() == []
