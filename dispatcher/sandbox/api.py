"""The calls of the provider's API: read, check, carry out, write down, answer.

A request is written down when it arrives, not when it is answered, so one whose caller went away or was cut
off still shows what became of it.
"""

import asyncio
import json
import time
from collections.abc import Mapping

from aiohttp import web

from dispatcher.sandbox.delivery import Answer, answered, deliver
from dispatcher.sandbox.faults import FaultRule
from dispatcher.sandbox.grants import FORM_TYPE, check_credentials, check_grant
from dispatcher.sandbox.journal import Entry
from dispatcher.sandbox.provider import SEND_GIFT, SEND_SMS, Call, Provider
from dispatcher.sandbox.refusal import JSON_TYPE, Refusal, invalid_request
from dispatcher.sandbox.tokens import Claims

TOKEN_PATH = "/oauth2/token"
PROBE_PATH = "/test-oauth2"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_NO_ANSWER = Answer(b"")
_TOKEN_HANGS = FaultRule(path=TOKEN_PATH, action="hang")


class Api:
    """The handlers of the four documented calls."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.AbstractRouteDef]:
        """Where each call is."""
        return [
            web.post(TOKEN_PATH, self.issue_token),
            web.post(SEND_SMS.path, self.send_sms),
            web.post(SEND_GIFT.path, self.send_gift),
            web.get(PROBE_PATH, self.probe, allow_head=False),
        ]

    async def send_sms(self, request: web.Request) -> web.StreamResponse:
        """`POST /sendSMS`."""
        return await self._send(request, SEND_SMS)

    async def send_gift(self, request: web.Request) -> web.StreamResponse:
        """`POST /gifting/send`."""
        return await self._send(request, SEND_GIFT)

    async def probe(self, request: web.Request) -> web.StreamResponse:
        """`GET /test-oauth2`: whether a token works."""
        provider = self._provider
        entry = Entry(at=time.time(), kind="probe", path=PROBE_PATH)
        try:
            claims = _said(entry, provider.check_token(request.headers.get("Authorization"), None, entry.at))
            provider.spend_allowance(entry.at)
        except Refusal as refusal:
            return await self._refuse(entry, refusal, provider.latency_s())
        rule = self._fall(entry)
        answer = {
            "status": "ok",
            "client_id": claims.client_id,
            "scope": " ".join(sorted(claims.scopes)),
            "expires_in": max(0, round(claims.expires_at - entry.at)),
        }
        return await self._answer(request, entry, rule, Answer(json.dumps(answer).encode()), provider.latency_s())

    async def issue_token(self, request: web.Request) -> web.StreamResponse:
        """`POST /oauth2/token`."""
        provider, settings = self._provider, self._provider.settings
        entry = Entry(at=time.time(), kind="token", path=TOKEN_PATH)
        latency_s = settings.token_latency_ms / 1000
        try:
            body = await _read(request)
            if settings.token_fault == "hang":
                return await self._answer(request, entry, _TOKEN_HANGS, _NO_ANSWER, latency_s)
            if settings.token_fault == "down":
                raise Refusal(503, "temporarily_unavailable", "the token service is down")
            check_credentials(request.headers.get("Authorization"), settings)
            _require_type(request, FORM_TYPE, 400)
            scopes = check_grant(body, settings)
        except Refusal as refusal:
            return await self._refuse(entry, refusal, latency_s, _NO_STORE)
        rule = self._fall(entry)
        token, claims = provider.tokens.issue(settings.client_id, scopes, settings.token_lives_s, entry.at)
        if entry.carried_out:
            _said(entry, claims)
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": settings.token_expires_in,
            "scope": " ".join(sorted(scopes)),
        }
        return await self._answer(request, entry, rule, Answer(json.dumps(answer).encode(), _NO_STORE), latency_s)

    async def _send(self, request: web.Request, call: Call) -> web.StreamResponse:
        provider = self._provider
        key = request.headers.get("Idempotency-Key")
        entry = Entry(at=time.time(), kind=call.kind, path=call.path, idempotency_key=key)
        try:
            body = await _read(request)
            _said(entry, provider.check_token(request.headers.get("Authorization"), call.scope, entry.at))
            _require_type(request, JSON_TYPE, 415)
            content = call.check(body)
            entry.recipient, entry.details = content.recipient, content.details
            provider.spend_allowance(entry.at)
            earlier = provider.replayed(call, key, content)
        except Refusal as refusal:
            return await self._refuse(entry, refusal, provider.latency_s())
        rule = self._fall(entry)
        if entry.carried_out and earlier is not None:
            entry.kind, entry.carried_out, entry.provider_id = "replayed", False, earlier
        elif entry.carried_out:
            entry.provider_id = provider.carry_out(call, key, content)
        answer = b'{"id": "%b", "status": "accepted"}' % (entry.provider_id or "").encode()
        return await self._answer(request, entry, rule, Answer(answer), provider.latency_s())

    def _fall(self, entry: Entry) -> FaultRule | None:
        """The rule that a good request falls to; fills in what becomes of it."""
        rule = self._provider.rules.fire(entry.path, entry.recipient, entry.details)
        if rule is None:
            entry.carried_out, entry.status = True, 200
        else:
            entry.carried_out, entry.status, entry.fault = rule.carries_out, rule.status_answered, rule.action
        return rule

    async def _answer(
        self, request: web.Request, entry: Entry, rule: FaultRule | None, answer: Answer, latency_s: float
    ) -> web.StreamResponse:
        self._provider.journal.record(entry)
        if latency_s > 0:
            await asyncio.sleep(latency_s)
        return answered(200, answer) if rule is None else await deliver(request, answer, rule)

    async def _refuse(
        self, entry: Entry, refusal: Refusal, latency_s: float, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        entry.status = refusal.status
        self._provider.journal.record(entry)
        if latency_s > 0:
            await asyncio.sleep(latency_s)
        return answered(refusal.status, Answer(refusal.body(), {**(headers or {}), **refusal.headers}))


def _said(entry: Entry, claims: Claims) -> Claims:
    entry.jti, entry.client_id = claims.jti, claims.client_id
    return claims


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise invalid_request("body: must be at most 64 KB", 413) from None


def _require_type(request: web.Request, wanted: str, status: int) -> None:
    if request.headers.get("Content-Type") != wanted and request.content_type != wanted:
        raise invalid_request(f"Content-Type: must be {wanted}", status)
