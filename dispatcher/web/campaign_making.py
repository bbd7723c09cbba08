"""A campaign from a file that somebody uploads: first its dry run's report, then, once it is confirmed, its intake."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from dispatcher.admin.actor import Role
from dispatcher.campaigns import Campaigns, DryRun
from dispatcher.campaigns.dry_run import rewritten
from dispatcher.campaigns.survey import character_name
from dispatcher.domain.campaign import Wanted
from dispatcher.domain.errors import (
    CampaignConflict,
    CampaignNotFound,
    CampaignRefused,
    DispatcherError,
    InvalidCampaign,
)
from dispatcher.domain.message import Channel
from dispatcher.domain.state import CampaignState
from dispatcher.domain.texts import with_newlines
from dispatcher.ledger import Campaign
from dispatcher.logs import get_logger
from dispatcher.web import bodies, charts, forms, views
from dispatcher.web.guard import Seal
from dispatcher.web.rendering import page
from dispatcher.web.uploads import KEPT_S, Uploads, own_name, under_its_name

log = get_logger(__name__)

MOST_BYTES = 200 * 1024 * 1024
"""The largest file that is taken."""
BEGUN_S = 20.0
"""How long whoever confirms is kept waiting for the campaign to be in the ledger."""
_MARGIN = 1024 * 1024  # what a form may hold beside its file
_OPTION = re.compile(r"--([a-z]+)( (?=\S))?")
"""What the command line would say; here it is a field's label."""
LABELS = {
    "file": "File",
    "name": "Name",
    "channel": "Channel",
    "template": "Text",
    "sku": "SKU",
    "amount": "Amount",
    "currency": "Currency",
    "budget": "Budget",
    "starts_at": "Start",
    "expires_at": "Not after",
    "window": "Send window",
    "rate": "Rate",
    "region": "Country",
    "map": "Columns",
    "encoding": "Encoding",
    "delimiter": "Delimiter",
}
"""What each part of a campaign is called on the form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a form asks for, as it was typed, and the upload that belongs to it."""

    values: Mapping[str, str]
    upload: str = ""
    source: str = ""
    """The upload's own name."""

    @property
    def parts(self) -> tuple[str, str]:
        """What is sealed when its report is shown."""
        return "create campaign", json.dumps([*self.values.values(), self.upload, self.source])


def new(request: Request) -> Response:
    """Ask what the campaign is to be."""
    views.actor_of(request).require(Role.OPERATOR)
    return _form(request, Asked(values=dict.fromkeys(_names(), "") | {"channel": Channel.SMS.value}))


async def look(request: Request) -> Response:
    """Answer a file and its terms with what they would come to. Nothing is written to the ledger."""
    views.actor_of(request).require(Role.OPERATOR)
    try:
        form = await bodies.read_form(request, max_files=1)
        try:
            forms.require_token(request, form)
            return await run_in_threadpool(_look, request, form)
        finally:
            await form.close()
    except bodies.BodyTooLarge:
        raise HTTPException(413, f"The file is {_too_large()}") from None
    except ClientDisconnect:
        return Response(status_code=400)  # nobody hears it
    except OSError as error:
        raise HTTPException(507, f"the file cannot be kept here: {error.strerror or error}") from None


async def create(request: Request) -> Response:
    """Take in the campaign whose report was shown."""
    views.actor_of(request).require(Role.OPERATOR)
    form = await bodies.read_form(request)
    forms.require_token(request, form)
    return await run_in_threadpool(_create, request, form)


def _look(request: Request, form: FormData) -> Response:
    asked, chosen = _asked(request, form), form.get("file")
    if form.get("change"):
        return _form(request, asked)
    if isinstance(chosen, UploadFile) and (chosen.size or 0) > MOST_BYTES:
        return _form(request, asked, 413, InvalidCampaign("file", f"is {_too_large()}"))
    campaigns = views.campaigns_of(request)
    try:
        asked = _with_file(request, chosen, asked)
        begun = _begun(campaigns, asked.values["name"])
        path = _uploads(request).find(asked.upload)
        if path is None:
            raise InvalidCampaign("file", "is missing; choose one")
        with under_its_name(path, asked.source) as file:
            report = campaigns.dry_run(file, **_given(asked), **_wanted(asked))
    except InvalidCampaign as wrong:
        return _form(request, asked, 400, wrong)
    return page(
        request,
        "campaign_report.html",
        report=report,
        begun=begun,
        bar=_bar(report),
        left_out=report.duplicates.count + report.opted_out,
        labels=LABELS,
        character_name=character_name,
        rewritten=rewritten,
        seal=request.app.state.seal.sign(*asked.parts) if report.recipients else "",
        **_kept(request, asked),
    )


def _create(request: Request, form: FormData) -> Response:
    asked, campaigns = _asked(request, form), views.campaigns_of(request)
    if not request.app.state.seal.holds(str(form.get("seal", "")), *asked.parts):
        old = InvalidCampaign("report", "is older than a quarter of an hour; look at it again")
        return _form(request, asked, 409, old)
    name, path = asked.values["name"], _uploads(request).find(asked.upload)
    try:
        if path is not None:
            _take_in(campaigns, path, asked).result(BEGUN_S)
    except InvalidCampaign as wrong:
        if path is not None and path.is_file():
            return _form(request, asked, 400, wrong)
    except CampaignConflict as taken:
        return _form(request, asked, 409, InvalidCampaign("name", str(taken).removeprefix("name: ")))
    except (CampaignRefused, FileNotFoundError):
        pass  # it was confirmed twice, and the other intake goes on, or has gone to its end with the file
    except TimeoutError:
        return RedirectResponse(f"/campaigns?{urlencode({'said': f'{name} is being taken in.'})}", 303)
    try:  # a confirmed upload is only gone because its intake is complete
        return RedirectResponse(f"/campaigns/{campaigns.books.find(name).id}", 303)
    except CampaignNotFound:
        return _form(request, asked, 409, InvalidCampaign("file", "is not here any more; choose it again"))


def _take_in(campaigns: Campaigns, upload: Path, asked: Asked) -> Future[None]:
    """Begin an intake that outlives the request; done once the campaign is in the ledger.

    The upload goes when the intake is complete. If it fails or is killed, confirming the same again goes on with it.
    """
    begun: Future[None] = Future()

    def run() -> None:
        try:
            with under_its_name(upload, asked.source) as file:
                campaigns.create(file, **_given(asked), **_wanted(asked), on_progress=lambda _: _tell(begun))
            upload.unlink(missing_ok=True)
            _tell(begun)
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
            elif isinstance(error, DispatcherError):
                if not isinstance(error, CampaignRefused):
                    log.error("intake_failed", campaign=asked.values["name"], upload=upload.stem, reason=str(error))
            else:
                log.exception("intake_failed", campaign=asked.values["name"], upload=upload.stem)

    threading.Thread(target=run, name="intake", daemon=True).start()
    return begun


def _tell(begun: Future[None]) -> None:
    if not begun.done():
        begun.set_result(None)


def most_bytes(path: str) -> int:
    """Return the largest body that a path takes."""
    return MOST_BYTES + _MARGIN if path == "/campaigns/new" else bodies.MOST_BYTES


def _too_large() -> str:
    return (
        f"larger than {MOST_BYTES / 1024 / 1024:.4g} MB; divide it, or take it in with "
        "`dispatcher campaign create`, which takes any"
    )


def _asked(request: Request, form: FormData) -> Asked:
    """Read what was typed, line ends as Python has them; an upload counts if we sealed it ourselves."""
    values = {}
    for name in _names():
        text = with_newlines(str(form.get(name, ""))).replace("\x00", "")
        values[name] = text if name == "template" else text.strip()
    if values["channel"] == Channel.GIFT:
        views.actor_of(request).require(Role.PAYMENTS)
    upload, source = str(form.get("upload", "")), str(form.get("source", ""))
    if not _long_seal(request).holds(str(form.get("kept", "")), "upload", upload, source):
        return Asked(values=values)
    return Asked(values=values, upload=upload, source=source)


def _with_file(request: Request, chosen: UploadFile | str | None, asked: Asked) -> Asked:
    """Keep the file that was chosen, instead of one that was uploaded before; it names what has no name."""
    if isinstance(chosen, UploadFile) and chosen.filename:
        uploads = _uploads(request)
        before = uploads.find(asked.upload)
        asked = replace(asked, upload=uploads.keep(chosen.file), source=own_name(chosen.filename))
        if before is not None:
            before.unlink(missing_ok=True)
    named = asked.values["name"] or Path(asked.source).stem
    return replace(asked, values=dict(asked.values) | {"name": named})


def _begun(campaigns: Campaigns, name: str) -> Campaign | None:
    """Return the campaign of this name whose intake is not complete.

    :raises InvalidCampaign: the name belongs to a campaign that is complete.
    """
    try:
        found = campaigns.books.find(name)
    except CampaignNotFound:
        return None
    if found.state is CampaignState.CANCELLED:
        return None
    if found.loaded_at is not None:
        raise InvalidCampaign("name", f"{name!r} already belongs to a campaign; give a new name")
    return found


def _given(asked: Asked) -> dict[str, Any]:
    values = asked.values
    return {
        "name": values["name"],
        "encoding": values["encoding"] or None,
        "delimiter": values["delimiter"] or None,
    }


def _wanted(asked: Asked) -> Wanted:
    """Read the form as what the campaign is to be.

    :raises InvalidCampaign: a moment or the columns are of another form.
    """
    typed = {name: value or None for name, value in asked.values.items()}
    return {
        "channel": asked.values["channel"],
        "template": typed["template"],
        "starts_at": _moment("starts_at", typed["starts_at"]),
        "expires_at": _moment("expires_at", typed["expires_at"]),
        "window": typed["window"],
        "rate": typed["rate"],
        "budget": typed["budget"],
        "sku": typed["sku"],
        "amount": typed["amount"],
        "currency": typed["currency"],
        "region": typed["region"],
        "columns": dict(_pair(line) for line in asked.values["map"].splitlines() if line.strip()),
    }


def _moment(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else forms.in_utc(text)
    except ValueError as wrong:
        raise InvalidCampaign(name, str(wrong)) from None


def _pair(line: str) -> tuple[str, str]:
    column, equals, field = line.rpartition("=")
    if not equals or not column.strip() or not field.strip():
        raise InvalidCampaign("map", f"{line!r} is not column=field, e.g. Mobile=recipient")
    return column.strip(), field.strip()


def _form(request: Request, asked: Asked, status: int = 200, wrong: InvalidCampaign | None = None) -> Response:
    """Show the form with what was typed, and what is wrong beside its field."""
    problem = None
    if wrong is not None:
        problem = {"field": wrong.field, "sentence": _OPTION.sub(_label, wrong.problem)}
    return page(
        request,
        "campaign_new.html",
        status,
        problem=problem,
        labels=LABELS,
        most=f"{MOST_BYTES / 1024 / 1024:.4g} MB",
        region=views.services_of(request).settings.region,
        **_kept(request, asked),
    )


def _label(option: re.Match[str]) -> str:
    return LABELS.get(option[1], option[1]) + (": " if option[2] else "")


def _kept(request: Request, asked: Asked) -> dict[str, Any]:
    here = _uploads(request).find(asked.upload) is not None
    upload, source = (asked.upload, asked.source) if here else ("", "")
    kept = _long_seal(request).sign("upload", upload, source) if here else ""
    return {"values": asked.values, "upload": upload, "source": source, "kept": kept}


def _bar(report: DryRun) -> Any:
    parts = [
        ("band-accepted", "recipients", report.recipients),
        ("band-refused", "invalid", report.invalid),
        ("band-again", "duplicates or opted out", report.duplicates.count + report.opted_out),
    ]
    return charts.share(parts, report.rows)


def _uploads(request: Request) -> Uploads:
    return Uploads(folder=views.services_of(request).settings.home / "uploads")


def _long_seal(request: Request) -> Seal:
    short: Seal = request.app.state.seal
    return replace(short, life_s=KEPT_S)


def _names() -> list[str]:
    return [name for name in LABELS if name != "file"]


PAGES: dict[str, Callable[[Request], Response]] = {"/campaigns/new": new}
DEEDS: dict[str, Callable[[Request], Awaitable[Response]]] = {"/campaigns/new": look, "/campaigns/create": create}
