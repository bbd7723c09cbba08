"""The operator's pages, whatever is asked of them: every page and every form, described as OpenAPI.

Nothing crashes, nothing that was typed runs as a script or leads elsewhere, and what is refused leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from redis import Redis
from schemathesis import Case
from sqlalchemy import select
from starlette.routing import Route

import dispatcher.web
from dispatcher.domain.fields import FIELDS
from dispatcher.domain.operation import Deed
from dispatcher.ledger import Resolution
from dispatcher.ledger.tables import Base
from dispatcher.web import make_web
from dispatcher.web.guard import HEADERS, Seal
from dispatcher.wiring import Services
from tests.fuzz.tally import TALLY, HalfARow, examples
from tests.making import wish
from tests.web.conftest import Site, serve, settings_of, sqlite_ledger
from tests.web.fates import fill

__all__ = ["sqlite_ledger"]

PATIENCE_S = 10.0
SECRET = "what seals the plans"
ANSWERS = (200, 303, 400, 401, 403, 404, 405, 409, 413)
SCRIPT = "<script>alert(1)</script>"

# What only the site knows stands here under a name until a request is made.
ID, FORM_TOKEN, SEALED = "the-id-of-", "the-token-of-the-form", "the-seal-of-the-plan"
FATES = ("dead", "in_doubt", "dead_gift", "queued", "sending")

_TEXT = {"type": "string", "maxLength": 200, "example": SCRIPT}
_ID = {"type": "string", "enum": [*(ID + fate for fate in FATES), "0", SCRIPT]}
_IDS = {"type": "array", "items": _ID, "maxItems": 3}
_MOMENTS = ["", "9999-12-31T23:59", "0001-01-01"]
_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"enum": _MOMENTS}, _TEXT]}
_NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["", "nan", "1e400", "1e-300"]}, _TEXT]}
_QUERY = {"anyOf": [{"enum": ["", "state:dead", "channel:gift", *(f"{name}:1" for name in FIELDS)]}, _TEXT]}


def _one_of(*known: str) -> dict[str, Any]:
    return {"anyOf": [{"enum": list(known)}, _TEXT]}


_FORM = {"token": {"type": "string", "enum": [FORM_TOKEN]}, "reason": _TEXT, "at": _MOMENT}
_CAMPAIGN = {
    "name": _TEXT,
    "channel": _one_of("sms", "gift"),
    "template": _one_of("Hi {first name|there}"),
    "sku": _TEXT,
    "amount": _one_of("25.00"),
    "currency": _one_of("AUD"),
    "budget": _one_of("500"),
    "starts_at": _MOMENT,
    "expires_at": _MOMENT,
    "window": _one_of("9:00-17:30"),
    "rate": _one_of("50/s"),
    "region": _one_of("AU"),
    "map": _one_of("Mobile=recipient"),
    "encoding": _one_of("", "utf-8", "cp1252"),
    "delimiter": _one_of("", ";", ","),
    "upload": _TEXT,
    "source": _TEXT,
    "kept": _TEXT,
}
PAGES: dict[str, dict[str, Any]] = {
    "/": {"said": _TEXT},
    "/messages": {"q": _QUERY, "before": _ID},
    "/messages.csv": {"q": _QUERY, "numbers": _one_of("1")},
    "/messages/{id}": {"reveal": _one_of("1"), "said": _TEXT},
    "/messages/{id}/edit": {},
    "/dead": {"q": _QUERY, "before": _ID},
    "/dead.csv": {"q": _QUERY, "numbers": _one_of("1")},
    "/fresh": {"q": _QUERY, "since": _MOMENT, "list": _one_of("dead")},
    "/plan": {"do": _one_of("replay", "replay-all", "discard", "discard-all"), "q": _QUERY, "id": _IDS},
    "/operations": {},
    "/operations/{id}": {},
    "/in-doubt": {},
    "/campaigns": {},
    "/campaigns/new": {},
    "/campaigns/{name}": {},
    "/campaigns/{name}/recipients.csv": {"numbers": _one_of("1")},
    "/audit": {"before": _ID, "about": _TEXT},
    "/sign-in": {"next": _one_of("//example.com", "/\\example.com", "https://example.com", "/dead")},
    "/healthz": {},
    "/readyz": {},
    "/metrics": {},
}
FORMS: dict[str, dict[str, Any]] = {
    "/sign-in": {"name": _TEXT, "password": _TEXT, "next": _TEXT},
    "/sign-out": {},
    "/messages/{id}/replay": _FORM,
    "/messages/{id}/cancel": _FORM,
    "/messages/{id}/edit": _FORM
    | dict.fromkeys(("recipient", "body", "sku", "note"), _TEXT)
    | {"amount": _one_of("25.00"), "currency": _one_of("AUD")},
    "/messages/{id}/resolve": _FORM | {"answer": _one_of(*(each.value for each in Resolution)), "provider_id": _TEXT},
    "/operations": _FORM
    | {
        "deed": _one_of(*(each.value for each in Deed)),
        "q": _QUERY,
        "id": _IDS,
        "seal": {"type": "string", "enum": [SEALED]},
        "spread": _NUMBER,
        "per_second": _NUMBER,
        "canary": _one_of("", "1"),
    },
    "/operations/{id}/{act}": _FORM,
    "/channels/{channel}/{act}": _FORM,
    "/campaigns/{name}/{act}": _FORM,
    "/campaigns/new": _FORM | _CAMPAIGN | {"file": {"type": "string", "format": "binary"}, "change": _one_of("", "1")},
    "/campaigns/create": _FORM | _CAMPAIGN | {"seal": _TEXT},
}
_IN_PATHS = {
    "id": _ID,
    "name": _one_of("spring", "new"),
    "channel": _one_of("sms", "gift"),
    "act": _one_of("pause", "resume", "abort", "start", "cancel", "retry"),
}


def described() -> dict[str, Any]:
    """Describe every page and form as OpenAPI."""
    paths: dict[str, Any] = {}
    for path, query in PAGES.items():
        parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
        paths.setdefault(path, {})["get"] = {"parameters": [*_in_path(path), *parameters], "responses": _ANY}
    for path, form in FORMS.items():
        kind = "multipart/form-data" if "file" in form else "application/x-www-form-urlencoded"
        required = [name for name in ("token", "seal") if name in form]
        body = {"content": {kind: {"schema": {"type": "object", "properties": form, "required": required}}}}
        paths.setdefault(path, {})["post"] = {
            "parameters": _in_path(path),
            "requestBody": body | {"required": True},
            "responses": _ANY,
        }
    return {"openapi": "3.1.0", "info": {"title": "pages", "version": "1"}, "paths": paths}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": _IN_PATHS[name]} for name in names]


_ANY = {"default": {"description": "a page"}}
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


@dataclass
class Filled(Site):
    """A site whose ledger holds messages of every fate."""

    known: dict[str, str] = field(default_factory=dict)
    """What stands for what in a case."""


@pytest.fixture
def site(sqlite_ledger: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Filled]:
    services = Services(settings_of(sqlite_ledger, valkey, tmp_path / "home", web_secret=SECRET))
    ids = fill(services, dead=10)
    ids["sending"] = services.ledger.claim(wish(services.clock.now(), count=1)).messages[0].id
    for url in serve(services):
        made = Filled(url=url, services=services, known={ID + fate: str(ids[fate]) for fate in FATES})
        made.known[FORM_TOKEN] = made.token("/campaigns/new")
        yield made


@SITE.parametrize()
@examples(15, shrink=False)
def test_whatever_is_asked_is_answered_or_refused_and_then_leaves_nothing(case: Case[Any], site: Filled) -> None:
    known = site.known
    case.path_parameters = {name: put_in(value, known) for name, value in case.path_parameters.items()}
    case.query = {name: put_in(value, known) for name, value in case.query.items()}
    if isinstance(case.body, dict):
        case.body = {name: put_in(value, known) for name, value in case.body.items()}
        if case.body.get("seal") == SEALED:
            case.body["seal"] = sealed(case.body)
    before = rows_of(site)
    with TALLY.trying("requests to the pages", within=PATIENCE_S) as trial:
        answer = case.call(
            base_url=site.url,
            headers={"Sec-Fetch-Site": "same-origin"},
            timeout=PATIENCE_S,
            allow_redirects=False,
            session=site.visitor,
        )
        assert answer.status_code in ANSWERS, answer.text
        assert SCRIPT not in answer.text
        assert all(name.lower() in answer.headers for name in HEADERS)
        if answer.status_code == 303:
            assert re.match(r"/(?![/\\])", answer.headers["location"][0])
        if answer.status_code >= 400:
            trial.refuse()
            if rows_of(site) != before:
                raise HalfARow(f"{case.method} {case.path} was refused, and yet something changed")


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
    tables = Base.metadata.sorted_tables
    with site.services.engine.connect() as connection:
        return {table.name: [tuple(row) for row in connection.execute(select(table))] for table in tables}
