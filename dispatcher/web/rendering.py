"""From a template to a page."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dispatcher.admin.actor import Role
from dispatcher.domain.query import hide_private
from dispatcher.domain.words import at, counted, in_words, roughly


@cache
def environment() -> Environment:
    """Return where the templates are, compiled once for every application of the process."""
    environment = Environment(
        loader=PackageLoader("dispatcher.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "at": at,
        "without_numbers": hide_private,
        "in_words": in_words,
        "roughly": roughly,
        "thousands": "{:,}".format,
        "seconds": lambda value: timedelta(seconds=value),
    }
    environment.globals |= {"counted": counted, "Role": Role}
    return environment


def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page for whoever asks."""
    state = request.app.state
    person = getattr(request.state, "person", None)
    text = state.pages.get_template(name).render(
        person=person,
        may=lambda role: person is not None and person.role >= role,
        form_token=getattr(request.state, "form_token", ""),
        path=request.url.path,
        now=state.services.clock.now(),
        said=request.query_params.get("said", "")[:200],
        **values,
    )
    return HTMLResponse(text, status)
