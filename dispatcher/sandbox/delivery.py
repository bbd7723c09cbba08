"""How an answer reaches the caller, or fails to: each fault as bytes on the wire.

A cut ends the connection with a reset (TCP RST) rather than an orderly close, as a crashed or firewalled peer does.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from dispatcher.sandbox.faults import FaultRule
from dispatcher.sandbox.refusal import JSON_TYPE, error_body, gateway_refusal

GARBAGE = b"\x00\x15\x03\x01\xff\xfe this is not HTTP\r\n\r\n"
GATEWAY_LIMIT_S = 29
"""After so long API Gateway answers 504, whatever the API behind it does."""
HUGE_BODY_BYTES = 1024 * 1024
_HUGE_PIECE = b"x" * 16 * 1024
_DRIPS = 10
_JSON_HEADERS = {"Content-Type": JSON_TYPE}
_BODILESS = frozenset({204, 205, 304})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_ERROR_OF_STATUS = {
    400: "invalid_request",
    401: "invalid_token",
    403: "insufficient_scope",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    429: "rate_limited",
    500: "server_error",
    503: "temporarily_unavailable",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that a request would have without a fault."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def answered(status: int, answer: Answer) -> web.Response:
    """A JSON response."""
    return web.Response(status=status, body=answer.body, headers=_json_headers(answer.headers))


async def deliver(request: web.Request, answer: Answer, rule: FaultRule) -> web.StreamResponse:
    """Answer `request` as `rule` has it. `answer` is what it would otherwise be."""
    return await _DELIVERIES[rule.action](request, answer, rule)


async def _hang(request: web.Request, answer: Answer, rule: FaultRule) -> web.StreamResponse:
    await asyncio.sleep(rule.hang_s)
    return await _cut(request, answer, rule)


async def _hang_then_answer(_request: web.Request, answer: Answer, rule: FaultRule) -> web.StreamResponse:
    await asyncio.sleep(rule.hang_s)
    return answered(200, answer)


async def _cut(request: web.Request, _answer: Answer, _rule: FaultRule) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return _nothing()


def _nothing() -> web.Response:
    # The handler must return a response; with its connection gone, aiohttp writes none of it.
    return web.Response()


async def _status(_request: web.Request, answer: Answer, rule: FaultRule) -> web.StreamResponse:
    status = rule.status_seen
    headers = {} if rule.retry_after is None else {"Retry-After": _retry_after(rule.retry_after)}
    if status in _BODILESS:
        return web.Response(status=status, headers=headers)
    if status < 300 and rule.carries_out and rule.error is None:
        return answered(status, Answer(answer.body, {**answer.headers, **headers}))
    error = rule.error or _ERROR_OF_STATUS.get(status, "server_error" if status >= 500 else "invalid_request")
    if status == 401:
        headers["WWW-Authenticate"] = f'Bearer realm="sandbox", error="{error}"'
    body = error_body(error, rule.error_description or f"a fault rule answers {status}")
    return answered(status, Answer(body, headers))


def _retry_after(given: float | str) -> str:
    return given if isinstance(given, str) else str(given)


def _json_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {**_JSON_HEADERS, **headers} if headers else _JSON_HEADERS


async def _gateway(_request: web.Request, _answer: Answer, rule: FaultRule) -> web.StreamResponse:
    status = rule.status_seen
    delay_s = rule.delay_s if rule.delay_s is not None else GATEWAY_LIMIT_S if status == 504 else 0
    if delay_s:
        await asyncio.sleep(delay_s)
    refusal = gateway_refusal(status, rule.message, rule.error_type)
    return answered(status, Answer(refusal.body(), refusal.headers))


async def _redirect(_request: web.Request, _answer: Answer, rule: FaultRule) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": rule.location})


async def _cut_body(request: web.Request, answer: Answer, _rule: FaultRule) -> web.StreamResponse:
    response = await _begun(request, answer, len(answer.body))
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


async def _slow_body(request: web.Request, answer: Answer, rule: FaultRule) -> web.StreamResponse:
    response = await _begun(request, answer, len(answer.body))
    size = max(1, -(-len(answer.body) // _DRIPS))
    for start in range(0, len(answer.body), size):
        await response.write(answer.body[start : start + size])
        await asyncio.sleep(rule.drip_s / _DRIPS)
    return response


async def _huge_body(request: web.Request, answer: Answer, _rule: FaultRule) -> web.StreamResponse:
    response = await _begun(request, answer, None)
    await response.write(json.dumps(json.loads(answer.body) | {"padding": ""}).encode().removesuffix(b'"}'))
    for _ in range(HUGE_BODY_BYTES // len(_HUGE_PIECE)):
        await response.write(_HUGE_PIECE)
    await response.write(b'"}')
    return response


async def _garbage(request: web.Request, _answer: Answer, _rule: FaultRule) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.write(GARBAGE)
        request.transport.close()
    return _nothing()


async def _begun(request: web.Request, answer: Answer, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=200, headers=_json_headers(answer.headers))
    response.content_length = length
    await response.prepare(request)
    return response


_DELIVERIES: Mapping[str, Callable[[web.Request, Answer, FaultRule], Awaitable[web.StreamResponse]]] = {
    "status": _status,
    "hang": _hang,
    "hang_after_accepting": _hang_then_answer,
    "cut": _cut,
    "cut_after_accepting": _cut,
    "cut_body": _cut_body,
    "slow_body": _slow_body,
    "garbage": _garbage,
    "garbage_after_accepting": _garbage,
    "huge_body": _huge_body,
    "redirect": _redirect,
    "gateway": _gateway,
}
