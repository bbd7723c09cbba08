"""All pages put together."""

from __future__ import annotations

import secrets
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dispatcher.domain.errors import (
    BrokerUnavailable,
    CampaignNotFound,
    CampaignRefused,
    DispatcherError,
    InvalidCampaign,
    InvalidMessage,
    LedgerUnavailable,
    MessageNotFound,
    NotPermitted,
    OperationNotFound,
    OperationRefused,
    PrivateSearch,
    QueryError,
    TransitionRefused,
)
from dispatcher.web import campaign_making, deeds, editing, exports, health, views
from dispatcher.web.bodies import BoundedBodies
from dispatcher.web.guard import Guard, Seal
from dispatcher.web.people import read_people
from dispatcher.web.rendering import environment, page
from dispatcher.web.searches import SearchCipher
from dispatcher.web.sessions import Sessions
from dispatcher.wiring import Services

_CODES: dict[type[DispatcherError], int] = {
    MessageNotFound: 404,
    CampaignNotFound: 404,
    OperationNotFound: 404,
    TransitionRefused: 409,
    CampaignRefused: 409,
    OperationRefused: 409,
    InvalidCampaign: 400,
    InvalidMessage: 400,
    NotPermitted: 403,
    PrivateSearch: 403,
    QueryError: 400,
    LedgerUnavailable: 503,
    BrokerUnavailable: 503,
}


def make_web(services: Services) -> Starlette:
    """Build the pages over one process's services.

    :raises SettingsError: DISPATCHER_WEB_USERS is malformed.
    """
    settings = services.settings
    secret = settings.web_secret.get_secret_value() or secrets.token_hex(32)
    people = read_people(settings.web_users.get_secret_value())
    sessions = Sessions(secret, people)
    routes = [
        *(
            Route(path, view)
            for path, view in (exports.PAGES | campaign_making.PAGES | editing.PAGES | views.PAGES).items()
        ),
        *(
            Route(path, deed, methods=["POST"])
            for path, deed in (campaign_making.DEEDS | editing.DEEDS | deeds.DEEDS).items()
        ),
        Route("/sign-in", views.sign_in_page),
        Route("/sign-in", deeds.sign_in, methods=["POST"]),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
        Route("/metrics", health.metrics),
        Mount("/static", StaticFiles(directory=str(files("dispatcher.web").joinpath("static")))),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, sessions=sessions, is_signed_out=services.inspection_books.is_signed_out),
            Middleware(BoundedBodies, most=campaign_making.most_bytes),
        ],
        exception_handlers={DispatcherError: _failed, HTTPException: _missing},
    )
    app.state.services = services
    app.state.people = people
    app.state.sessions = sessions
    app.state.seal = Seal(secret)
    app.state.search_cipher = SearchCipher(secret)
    app.state.pages = environment()
    return app


def _failed(request: Request, error: Exception) -> Response:
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), 400)
    title = {404: "Not there", 409: "Not possible", 503: "Away"}.get(code, "Refused")
    hint = "Workers go on by themselves as soon as it is back." if code == 503 else ""
    return page(request, "error.html", code, title=title, problem=str(error), hint=hint)


def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for it
    if error.status_code == 404:
        return page(request, "error.html", 404, title="Not there", problem="There is no such page.", hint="")
    return page(request, "error.html", error.status_code, title="Refused", problem=error.detail, hint="")
