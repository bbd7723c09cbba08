"""The operator's pages, whatever is asked of them: every page and every form, described as OpenAPI.

Nothing crashes, nothing that was typed runs as a script or leads elsewhere, and what is refused leaves nothing behind.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from redis import Redis
from schemathesis import Case
from sqlalchemy import select
from starlette.routing import Route

import dispatcher.web
from dispatcher.ledger.tables import METADATA
from dispatcher.web import make_web
from dispatcher.web.guard import HEADERS, Seal
from dispatcher.wiring import Services
from tests.fuzz.filled import Filled
from tests.fuzz.site import FORMS, PAGES, SCRIPT, SEALED, described
from tests.fuzz.tally import TALLY, HalfARow, examples
from tests.web.conftest import Site, serve, settings_of, sqlite_ledger

__all__ = ["sqlite_ledger"]

PATIENCE_S = 10.0
SECRET = "what seals the plans"
ANSWERS = (200, 303, 400, 401, 403, 404, 405, 409, 413, 429)
SITE = schemathesis.openapi.from_dict(described())


def test_every_page_form_and_field_of_the_site_is_described(sqlite_ledger: str, valkey: str, tmp_path: Path) -> None:
    services = Services(settings_of(sqlite_ledger, valkey, tmp_path / "home"))
    routes = [route for route in make_web(services).routes if isinstance(route, Route)]
    served = {(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"}
    services.close()
    assert served == {("GET", path) for path in PAGES} | {("POST", path) for path in FORMS}
    folder = Path(dispatcher.web.__file__).parent
    sources = "".join(path.read_text() for path in [*folder.glob("*.py"), *folder.glob("templates/*.html")])
    asking = r"""(?:form|asked|query_params)\.get(?:list)?\("(\w+)"|_of\(form, "(\w+)"|name="(\w+)\""""
    typed = {name for names in re.findall(asking, sources) for name in names if name}
    known = {name for fields in (*PAGES.values(), *FORMS.values()) for name in fields}
    assert typed - known == {"viewport", "intake", "local"}, "beside names of other things"


@pytest.fixture
def site(sqlite_ledger: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Filled]:
    services = Services(settings_of(sqlite_ledger, valkey, tmp_path / "home", web_secret=SECRET))
    for url in serve(services):
        yield Filled(url=url, services=services)


@pytest.mark.exhaustive  # each example asks a whole site
@SITE.parametrize()
@examples(15, shrink=False)
def test_whatever_is_asked_is_answered_or_refused_and_then_leaves_nothing(case: Case[Any], site: Filled) -> None:
    known = site.known()
    case.path_parameters = {name: put_in(value, known) for name, value in case.path_parameters.items()}
    case.query = {name: put_in(value, known) for name, value in case.query.items()}
    if isinstance(case.body, dict):
        case.body = {name: put_in(value, known) for name, value in case.body.items()}
        if case.body.get("seal") == SEALED:
            case.body["seal"] = sealed(case.body)
    before = rows_of(site)
    with TALLY.trying("requests to the pages", within=PATIENCE_S) as trial:
        answer = asked(case, site)
        assert answer.status_code in ANSWERS, answer.text
        assert SCRIPT not in answer.text
        assert all(name in answer.headers for name in HEADERS)
        if answer.status_code == 303:
            assert re.match(r"/(?![/\\])", answer.headers["location"])
        if answer.status_code >= 400:
            trial.refuse()
            if rows_of(site) != before:
                raise HalfARow(f"{case.method} {case.path} was refused, and yet something changed")


def asked(case: Case[Any], site: Site) -> requests.Response:
    """Send what the case says, as a browser does from one of our pages; and confirm a report that comes of it."""
    given = case.as_transport_kwargs(base_url=site.url)
    given["headers"]["Sec-Fetch-Site"] = "same-origin"
    if isinstance(case.body, dict) and "file" in case.body:
        given["headers"].pop("Content-Type", None)
        fields = {name: value for name, value in case.body.items() if name != "file"}
        files = {"file": ("spring.csv", str(case.body["file"]).encode("utf-8", "surrogatepass"))}
        given |= {"data": {name: str(value) for name, value in fields.items()}, "files": files}
    answer = site.visitor.request(**given, timeout=PATIENCE_S, allow_redirects=False)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.text)
    if answer.status_code == 200 and "/campaigns/create" in answer.text:
        answer = site.post("/campaigns/create", **{name: unescape(value) for name, value in hidden})
        for intake in [thread for thread in threading.enumerate() if thread.name == "intake"]:
            intake.join()
    return answer


def put_in(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [put_in(each, known) for each in value]
    return known.get(value, value) if isinstance(value, str) else value


def sealed(form: dict[str, Any]) -> str:
    """Seal the plan of a form as the page does that shows it."""
    ids = form.get("id", [])
    joined = ",".join(map(str, ids)) if isinstance(ids, list) else str(ids)
    return Seal(SECRET).sign(str(form.get("deed", "")), str(form.get("q", "")), joined)


def rows_of(site: Site) -> dict[str, list[tuple[Any, ...]]]:
    """Return the whole ledger."""
    tables = METADATA.sorted_tables
    with site.services.engine.connect() as connection:
        return {table.name: [tuple(row) for row in connection.execute(select(table))] for table in tables}
