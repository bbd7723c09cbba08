"""A campaign's recipients into the ledger, a page at a time: rows, counts and cursor commit together or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Connection, case, insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispatcher.domain.errors import CampaignRefused, InvalidCampaign
from dispatcher.domain.message import Priority
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger.advance import next_interval
from dispatcher.ledger.campaigns import Campaign
from dispatcher.ledger.tables import CAMPAIGNS, LANES, MESSAGES
from dispatcher.ledger.upsert import insert_into

SOURCE = "campaign"
_COPIED = (
    "id, recipient, body, gift, idempotency_key, fingerprint, lane, channel, priority, state, campaign_id, tags, "
    "source, due_at, expires_at, max_attempts, created_at, updated_at"
)


class Entry(NamedTuple):
    """One recipient of a campaign, checked; a plain tuple, since there are millions."""

    id: str
    recipient: str
    body: str | None
    gift: str | None
    """As JSON."""
    key: str | None
    fingerprint: str
    zones: str
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPage:
    """What one transaction of the intake loads."""

    before: int
    """Where the cursor must stand."""
    after: int
    """Where it stands then: rows of the file, the invalid and doubled ones included."""
    entries: Sequence[Entry] = field(repr=False)
    invalid: int
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a page came to."""

    total: int
    opted_out: int


def load(
    connection: Connection,
    campaign: Campaign,
    page: LoadPage,
    *,
    max_attempts: int,
    lanes: dict[str, int],
    now: datetime,
) -> Loaded:
    """Load a page; ``lanes`` (by zones) gains those that the page begins.

    :raises CampaignRefused: another intake has moved the cursor, or the campaign is no draft any more.
    :raises InvalidCampaign: the campaign has one of the recipients: these are not the rows that it was begun with.
    """
    moved = connection.execute(
        update(CAMPAIGNS)
        .where(
            CAMPAIGNS.c.id == campaign.id,
            CAMPAIGNS.c.state == CampaignState.DRAFT.value,
            CAMPAIGNS.c.rows_read == page.before,
            CAMPAIGNS.c.loaded_at.is_(None),
        )
        .values(rows_read=page.after)
        .returning(CAMPAIGNS.c.id)
    ).scalar()
    if moved is None:
        raise CampaignRefused(
            campaign.name, "being loaded by another process", "loaded", allowed="let that one finish, or end it"
        )
    left_out = opted_out_among(connection, campaign.channel.value, [entry.recipient for entry in page.entries])
    entries = [entry for entry in page.entries if entry.recipient not in left_out] if left_out else page.entries
    _add_lanes(connection, campaign, entries, lanes, now)
    try:
        _write(connection, campaign, entries, lanes, max_attempts=max_attempts, now=now)
    except IntegrityError as refused:
        if "campaign_id" not in str(refused.orig):
            raise
        raise InvalidCampaign(
            "file", f"these are not the rows that campaign {campaign.name!r} was begun with; give a new name"
        ) from None
    connection.execute(
        update(CAMPAIGNS)
        .where(CAMPAIGNS.c.id == campaign.id)
        .values(
            total=CAMPAIGNS.c.total + len(entries),
            invalid=CAMPAIGNS.c.invalid + page.invalid,
            duplicates=CAMPAIGNS.c.duplicates + page.duplicates,
            opted_out=CAMPAIGNS.c.opted_out + len(left_out),
            parts=CAMPAIGNS.c.parts + sum(entry.parts for entry in entries),
        )
    )
    return Loaded(total=len(entries), opted_out=len(left_out))


def complete(connection: Connection, campaign: UUID, *, now: datetime) -> None:
    """Close the intake: the campaign is scheduled if it has a start, else it stays a draft until it is started."""
    state = case((CAMPAIGNS.c.starts_at.is_(None), CampaignState.DRAFT.value), else_=CampaignState.SCHEDULED.value)
    connection.execute(
        update(CAMPAIGNS)
        .where(
            CAMPAIGNS.c.id == campaign,
            CAMPAIGNS.c.state == CampaignState.DRAFT.value,
            CAMPAIGNS.c.loaded_at.is_(None),
        )
        .values(loaded_at=now, state=state)
    )


def opted_out_among(connection: Connection, channel: str, recipients: Sequence[str]) -> frozenset[str]:
    """Return those recipients that have opted out of a channel."""
    if not recipients:
        return frozenset()
    given: Any = list(recipients)
    if connection.dialect.name == "postgresql":
        listed = "SELECT unnest(CAST(:recipients AS text[]))"
    else:
        listed, given = "SELECT value FROM json_each(:recipients)", json.dumps(given)
    found = text(f"SELECT recipient FROM dispatcher_suppressions WHERE channel = :channel AND recipient IN ({listed})")  # noqa: S608 - one of two constants
    return frozenset(connection.execute(found, {"channel": channel, "recipients": given}).scalars())


def _add_lanes(
    connection: Connection, campaign: Campaign, entries: Sequence[Entry], lanes: dict[str, int], now: datetime
) -> None:
    """Begin the lanes of zones that no page had before, each with its window's next interval."""
    for zones in sorted({entry.zones for entry in entries} - lanes.keys()):
        lanes[zones] = len(lanes)
        row = {"campaign_id": campaign.id, "lane": lanes[zones], "zones": zones}
        row |= next_interval(campaign.send_window, zones, now)
        connection.execute(insert_into(connection, LANES).on_conflict_do_nothing().values(row))


def _write(
    connection: Connection,
    campaign: Campaign,
    entries: Sequence[Entry],
    lanes: dict[str, int],
    *,
    max_attempts: int,
    now: datetime,
) -> None:
    if not entries:
        return
    made = campaign.created_at  # as their ids say; when they go is their campaign's to say, and may be changed
    expires_at = campaign.expires_at
    assert expires_at is not None  # noqa: S101 - every campaign is made with one
    if connection.dialect.name == "postgresql":
        same = [
            *(campaign.channel.value, Priority.BULK.value, State.QUEUED.value, str(campaign.id), "[]", SOURCE),
            *(made.isoformat(), expires_at.isoformat(), str(max_attempts), made.isoformat(), now.isoformat()),
        ]
        _copy(connection, entries, lanes, "\t".join(same))
        return
    rows: list[dict[str, Any]] = [
        {
            "id": UUID(entry.id),
            "recipient": entry.recipient,
            "body": entry.body,
            "gift": None if entry.gift is None else json.loads(entry.gift),
            "idempotency_key": entry.key,
            "fingerprint": entry.fingerprint,
            "lane": lanes[entry.zones],
            "channel": campaign.channel.value,
            "priority": Priority.BULK.value,
            "state": State.QUEUED.value,
            "campaign_id": campaign.id,
            "tags": [],
            "source": SOURCE,
            "due_at": made,
            "expires_at": expires_at,
            "max_attempts": max_attempts,
            "created_at": made,
            "updated_at": now,
        }
        for entry in entries
    ]
    connection.execute(insert(MESSAGES), rows)


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _copy(connection: Connection, entries: Sequence[Entry], lanes: dict[str, int], same: str) -> None:
    """Stream rows through COPY, PostgreSQL's way for many at once, in the transaction that is open."""
    lines = []
    for entry in entries:
        body = r"\N" if entry.body is None else entry.body.translate(_ESCAPES)
        gift = r"\N" if entry.gift is None else entry.gift.translate(_ESCAPES)
        key = r"\N" if entry.key is None else entry.key
        lines.append(
            f"{entry.id}\t{entry.recipient}\t{body}\t{gift}\t{key}\t{entry.fingerprint}\t{lanes[entry.zones]}\t{same}\n"
        )
    import psycopg  # a SQLite ledger needs no driver

    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    statement = f"COPY dispatcher_messages ({_COPIED}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.write("".join(lines).encode())
    except psycopg.Error as error:  # as SQLAlchemy would have raised it
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=driver.broken
        ) from None
