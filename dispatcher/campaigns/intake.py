"""Recipients into the ledger: page by page, each with its cursor, so that a killed intake goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dispatcher.campaigns.check import Invalid, Sending, gift_key
from dispatcher.campaigns.source import Source
from dispatcher.campaigns.survey import Page, Tally, survey
from dispatcher.domain.campaign import Terms
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.identity import uuid7_run
from dispatcher.ledger import Campaign, CampaignBooks, Entry, LoadPage
from dispatcher.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How far an intake is."""

    rows: int
    of: int | None
    """How many rows there are, if that is known."""
    recipients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Takes recipients in."""

    books: CampaignBooks
    clock: Clock
    max_attempts: int
    normalize: bool

    def take_in(
        self,
        source: Source,
        terms: Terms,
        campaign: Campaign,
        *,
        on_progress: Callable[[Loading], None] = lambda _: None,
        on_invalid: Callable[[Sequence[Invalid]], None] = lambda _: None,
    ) -> tuple[Campaign, Tally]:
        """Load what is not loaded yet, and close the intake.

        While one page is written to the ledger the next one is read and checked.

        :raises InvalidCampaign: nobody in the file can get a message, or these are not the campaign's rows.
        :raises CampaignRefused: another process is loading the same campaign.
        """
        tally = Tally()
        assert campaign.expires_at is not None  # noqa: S101 - every campaign is made with one
        sending = Sending(
            starts_at=campaign.starts_at or campaign.created_at,
            expires_at=campaign.expires_at,
            normalize=self.normalize,
        )
        lanes = self.books.lanes(campaign.id)
        loaded = campaign.total
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="intake") as writer:
            writing: Future[int] | None = None
            try:
                for page in survey(source, terms, sending, size=self.books.page_size):
                    on_invalid(page.invalid)
                    tally.add(page)
                    if writing is not None:
                        loaded += writing.result()
                        writing = None
                    if page.after > campaign.rows_read:
                        writing = writer.submit(self._load, campaign, _unread(page, campaign.rows_read), lanes)
                    on_progress(Loading(rows=page.after, of=source.count, recipients=loaded))
                loaded += writing.result() if writing is not None else 0
            except BaseException:
                if writing is not None:
                    writing.cancel()
                raise
        if loaded == 0 and self.books.find(campaign.id).opted_out == 0:
            self.books.discard(campaign.id)
            raise InvalidCampaign("file", f"no row of {tally.rows:,} can get a message; {_why(tally)}")
        return self.books.complete(campaign.id, now=self.clock.now()), tally

    def _load(self, campaign: Campaign, page: Page, lanes: dict[str, int]) -> int:
        now = self.clock.now()
        load = LoadPage(
            before=page.before,
            after=page.after,
            entries=_entries(campaign, page),
            invalid=len(page.invalid),
            duplicates=len(page.duplicates),
        )
        return self.books.load(campaign, load, max_attempts=self.max_attempts, lanes=lanes, now=now).total


def _unread(page: Page, rows_read: int) -> Page:
    """Return the page, which was cut in the same places when the intake was begun.

    :raises InvalidCampaign: it was begun with pages of another size.
    """
    if page.before < rows_read:
        raise InvalidCampaign("file", "its intake was begun by another version; cancel the campaign and begin anew")
    return page


def _entries(campaign: Campaign, page: Page) -> list[Entry]:
    """Give each recipient an id in the order of the file, however often the intake was interrupted."""
    entropy = os.urandom(8 * len(page.entries))
    ids = uuid7_run(int(campaign.created_at.timestamp() * 1000), page.before, entropy)
    name = str(campaign.id)
    return [
        Entry(
            id_,
            each.recipient,
            each.body,
            each.gift,
            None if each.gift is None else gift_key(name, each.recipient),
            each.fingerprint,
            each.zones,
            0 if each.segments is None else each.segments.parts,
        )
        for id_, each in zip(ids, page.entries, strict=True)
    ]


def _why(tally: Tally) -> str:
    if not tally.reasons:
        return "there is none"
    reason, group = max(tally.reasons.items(), key=lambda item: item[1].count)
    detail = f": {group.detail}" if group.detail else ""
    return f"first line {group.lines[0]}: {reason}{detail}"
