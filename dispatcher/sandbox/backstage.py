"""The control calls under `/_sandbox/`, which are no part of the provider's API: settings, faults, journal.

They ask for no token, which is why the sandbox listens on the loopback address unless told otherwise.
"""

import json
from typing import Any

from aiohttp import web

from dispatcher.sandbox.content import read_object
from dispatcher.sandbox.faults import parse_rule
from dispatcher.sandbox.journal import KINDS
from dispatcher.sandbox.provider import Provider
from dispatcher.sandbox.refusal import JSON_TYPE, Refusal, invalid_request
from dispatcher.sandbox.settings import SandboxSettings, SettingRefused

PREFIX = "/_sandbox"
MOST_ENTRIES = 100_000
LAST_ENTRY = 2**53
_ENTRIES_UNLESS_SAID = 1000


class Backstage:
    """The handlers of the control calls. What they refuse is answered in the API's own error form."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.AbstractRouteDef]:
        """Where each call is."""
        return [
            web.get(f"{PREFIX}/settings", self.show_settings, allow_head=False),
            web.put(f"{PREFIX}/settings", self.replace_settings),
            web.patch(f"{PREFIX}/settings", self.change_settings),
            web.get(f"{PREFIX}/faults", self.list_faults, allow_head=False),
            web.post(f"{PREFIX}/faults", self.add_fault),
            web.delete(f"{PREFIX}/faults", self.clear_faults),
            web.post(f"{PREFIX}/revoke", self.revoke),
            web.post(f"{PREFIX}/reset", self.reset),
            web.get(f"{PREFIX}/journal", self.read_journal, allow_head=False),
            web.get(f"{PREFIX}/summary", self.summarise, allow_head=False),
        ]

    async def show_settings(self, _request: web.Request) -> web.Response:
        """The settings in force, but for those fixed at the start."""
        return _json(self._provider.settings.changeable())

    async def replace_settings(self, request: web.Request) -> web.Response:
        """Go back to the start settings, but for the fields named."""
        return await self._change(request, self._provider.start_settings)

    async def change_settings(self, request: web.Request) -> web.Response:
        """Change the fields named. Naming `seed` begins the random generators anew, even with the same seed."""
        return await self._change(request, self._provider.settings)

    async def _change(self, request: web.Request, base: SandboxSettings) -> web.Response:
        changes = read_object(await request.read())
        try:
            settings = base.changed(changes)
        except SettingRefused as error:
            raise invalid_request(str(error)) from None
        self._provider.change(settings)
        if "seed" in changes:
            self._provider.reseed()
        return _json(settings.changeable())

    async def list_faults(self, _request: web.Request) -> web.Response:
        """The rules in force, with the times each has left and how often it fired."""
        return _json({"faults": self._provider.rules.listed()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a rule behind those there are."""
        try:
            rule = parse_rule(read_object(await request.read()))
        except SettingRefused as error:
            raise invalid_request(str(error)) from None
        self._provider.rules.add(rule)
        return _json({"faults": self._provider.rules.listed()}, 201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Drop every rule."""
        self._provider.rules.clear()
        return _json({"faults": []})

    async def revoke(self, request: web.Request) -> web.Response:
        """Refuse the token named by `{"jti": …}`, or without a body every token issued until now."""
        body = await request.read()
        jti = read_object(body).get("jti") if body else None
        if jti is not None and not isinstance(jti, str):
            raise invalid_request("jti: wants the id of a token, or null for all")
        self._provider.revoke(jti)
        return _json({"revoked": jti or "all"})

    async def reset(self, _request: web.Request) -> web.Response:
        """Empty the journal, and go back to the settings and rules of the start."""
        self._provider.reset()
        return _json(self._provider.settings.changeable())

    async def read_journal(self, request: web.Request) -> web.Response:
        """A page of entries: those after number `after`, at most `limit`, of one `kind` or all."""
        after = _whole(request, "after", 0, 0, LAST_ENTRY)
        limit = _whole(request, "limit", _ENTRIES_UNLESS_SAID, 1, MOST_ENTRIES)
        kind = request.query.get("kind")
        if kind is not None and kind not in KINDS:
            raise invalid_request(f"kind: wants one of {', '.join(KINDS)}")
        lines, following = self._provider.journal.page(after, limit, kind)
        return web.Response(text=f'{{"entries":[{",".join(lines)}],"next":{following}}}', content_type=JSON_TYPE)

    async def summarise(self, _request: web.Request) -> web.Response:
        """The totals of the journal."""
        return _json(self._provider.journal.summary())


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(value), status=status, content_type=JSON_TYPE)


def _whole(request: web.Request, name: str, unless_said: int, least: int, most: int) -> int:
    given = request.query.get(name)
    if given is None:
        return unless_said
    if given.isascii() and given.isdigit() and len(given) <= len(str(most)) and least <= int(given) <= most:
        return int(given)
    raise Refusal(400, "invalid_request", f"{name}: wants a whole number from {least} to {most}")
