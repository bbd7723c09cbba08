"""The sandbox as a server: its routes, the form of its errors, its start and its end."""

import asyncio
import base64
import logging
import os
import random
import signal
import time
import uuid
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dispatcher.sandbox.api import Api
from dispatcher.sandbox.backstage import PREFIX, Backstage
from dispatcher.sandbox.delivery import Answer, answered
from dispatcher.sandbox.explorer import Explorer
from dispatcher.sandbox.faults import FaultRule
from dispatcher.sandbox.journal import Entry, Journal
from dispatcher.sandbox.provider import Provider
from dispatcher.sandbox.refusal import MISSING_TOKEN, Refusal, error_body, gateway_refusal
from dispatcher.sandbox.settings import SandboxSettings

LARGEST_BODY = 64 * 1024
_SHUTDOWN_S = 0.1
_CONNECTIONS_WAITING = 4096
_REFUSED_BY_ROUTING = {
    404: ("not_found", "no such path"),
    405: ("method_not_allowed", "this path takes another method"),
    413: ("invalid_request", "body: must be at most 64 KB"),
}
"""Of the sandbox's own paths; the provider's are behind a gateway, which knows no 404 and no 405."""
_OWN = (PREFIX, "/docs")
_log = logging.getLogger(__name__)


class CannotListen(OSError):
    """The address cannot be listened on; the message says which and why."""


def serve(
    settings: SandboxSettings, *, rules: tuple[FaultRule, ...] = (), ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then end at once, whatever requests still hang.

    Raises:
        CannotListen: the address is taken, or not this machine's.
        JournalUnreadable: the journal file cannot be used.
    """
    asyncio.run(_serve(settings, rules, ready))


def application(provider: Provider) -> web.Application:
    """Every route there is, each error in the documented form."""
    app = web.Application(middlewares=[_documented_errors(provider.journal)], client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(_identify)
    app.add_routes([*Api(provider).routes(), *Backstage(provider).routes(), *Explorer().routes()])
    return app


async def _serve(settings: SandboxSettings, rules: tuple[FaultRule, ...], ready: Callable[[str], None] | None) -> None:
    provider = Provider(settings, rules)
    runner = web.AppRunner(
        application(provider), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
    )
    await runner.setup()
    try:
        stop = _stopped_by_signal()
        url = await _listen(runner, settings)
        if ready is not None:
            ready(url)
        await stop.wait()
    finally:
        await runner.cleanup()
        provider.journal.close()


async def _identify(request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer of the provider the ids of the gateway before it."""
    if not request.path.startswith(_OWN):
        made = random.getrandbits(128).to_bytes(16)
        response.headers["x-amzn-RequestId"] = str(uuid.UUID(bytes=made, version=4))
        response.headers["x-amz-apigw-id"] = base64.b64encode(made[:11]).decode()


def _documented_errors(journal: Journal) -> Middleware:
    @web.middleware
    async def documented(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return answered(refusal.status, Answer(refusal.body(), refusal.headers))
        except web.HTTPException as error:
            if error.status not in _REFUSED_BY_ROUTING:
                raise
            if not request.path.startswith(_OWN) and error.status != 413:
                journal.record(Entry(at=time.time(), kind="other", path=request.path, status=403))
                unknown = gateway_refusal(403, *MISSING_TOKEN)
                return answered(403, Answer(unknown.body(), unknown.headers))
            if not request.path.startswith(PREFIX):
                journal.record(Entry(at=time.time(), kind="other", path=request.path, status=error.status))
            allow = error.headers.get("Allow")
            headers = {} if allow is None else {"Allow": allow}
            return answered(error.status, Answer(error_body(*_REFUSED_BY_ROUTING[error.status]), headers))
        except Exception:
            # A defect of the sandbox itself: say so in the API's form, and leave the trace in the log.
            _log.exception("the sandbox failed", extra={"path": request.path})
            return answered(500, Answer(error_body("server_error", "the sandbox itself failed; see its log")))

    return documented


async def _listen(runner: web.AppRunner, settings: SandboxSettings) -> str:
    site = web.TCPSite(runner, settings.host, settings.port, backlog=_CONNECTIONS_WAITING)
    try:
        await site.start()
    except OSError as error:
        raise CannotListen(f"cannot listen on {settings.host} port {settings.port}: {_reason(error)}") from error
    port = runner.addresses[0][1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{port}"


def _reason(error: OSError) -> str:
    # A host that is not found carries a negative number and its own words; asyncio words the other errors at length.
    return os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error.strerror or error)


def _stopped_by_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
