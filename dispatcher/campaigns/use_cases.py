"""What people and programs do with campaigns: the same calls behind the command line and ``dispatcher.campaigns``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Unpack
from uuid import UUID

from dispatcher.campaigns.check import Invalid
from dispatcher.campaigns.dry_run import DryRun, Rates, dry_run
from dispatcher.campaigns.intake import Intake, Loading
from dispatcher.campaigns.layout import lay_out
from dispatcher.campaigns.progress import Progress, read_many, read_progress
from dispatcher.campaigns.source import Recipients, Source, open_source
from dispatcher.campaigns.survey import Tally
from dispatcher.campaigns.warnings import text_warnings, window_warnings
from dispatcher.domain.campaign import DEFAULT_LIFE, Terms, Wanted, check_campaign
from dispatcher.domain.errors import BrokerUnavailable, CampaignNotFound, InvalidCampaign
from dispatcher.domain.identity import ENTROPY_BITS, uuid7
from dispatcher.domain.message import DEFAULT_LIFE as MESSAGE_LIFE
from dispatcher.domain.message import Channel
from dispatcher.domain.rate import Rate
from dispatcher.domain.segments import MAX_PARTS
from dispatcher.domain.state import CampaignState
from dispatcher.domain.window import parse_window
from dispatcher.domain.words import at as written
from dispatcher.ledger import By, Campaign, CampaignBooks, Delivery
from dispatcher.ports import Bell, Clock, Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A campaign whose recipients are in the ledger."""

    campaign: Campaign
    duplicate: bool
    """The same call made it before; nothing was loaded again."""
    tally: Tally | None
    """The file's counts; None for a duplicate."""
    warnings: tuple[str, ...] = ()
    """Sentences about texts that are sent but hardly meant; those of the dry run."""

    @property
    def id(self) -> UUID:
        """The campaign's id."""
        return self.campaign.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaigns:
    """Makes, runs and follows campaigns. Wherever a campaign is asked for, its id or its name will do.

    All methods raise LedgerUnavailable when the ledger cannot be used now, and CampaignNotFound for an unknown one.
    """

    books: CampaignBooks
    limiter: Limiter
    bell: Bell
    clock: Clock
    rates: Mapping[Channel, Rate]
    max_attempts: int
    region: str | None
    actor: str
    max_parts: int = MAX_PARTS
    """SMS parts that a text may take."""
    normalize: bool = True
    """Whether texts are put into Unicode's composed form."""

    def create(
        self,
        recipients: Recipients,
        *,
        name: str,
        encoding: str | None = None,
        delimiter: str | None = None,
        on_progress: Callable[[Loading], None] = lambda _: None,
        on_invalid: Callable[[Sequence[Invalid]], None] = lambda _: None,
        **wanted: Unpack[Wanted],
    ) -> Created:
        """Take recipients in. With ``starts_at`` the campaign is then scheduled, else it is a draft until ``start``.

        Each page of recipients commits with its cursor: run the same call again after a crash, and it goes on where it
        was. Run it again after that, and it changes nothing: the name is the campaign's idempotency key.

        :param recipients: the path of a CSV file with a header, or an iterable of numbers or of mappings.
        :param name: unlike that of any campaign that is not cancelled.
        :param encoding: of the file, if it is neither UTF-8 nor begins with a byte order mark.
        :param delimiter: of the file, if it is not what its header has most of.
        :param wanted: everything else that the campaign is to be; see ``Wanted``.
        :raises InvalidCampaign: something about it is wrong; nothing was loaded.
        :raises CampaignConflict: the name belongs to another campaign.
        :raises CampaignRefused: another process is loading it at this moment.
        """
        if self._begun(name):  # its moments are settled, and may be past by the time that an intake goes on
            wanted["starts_at"] = wanted["expires_at"] = None
        terms = self._terms(name, wanted)
        source = open_source(recipients, encoding=encoding, delimiter=delimiter)
        campaign, new = self._make(source, terms)
        if campaign.loaded_at is not None:
            return Created(campaign=campaign, duplicate=not new, tally=None)
        intake = Intake(books=self.books, clock=self.clock, max_attempts=self.max_attempts, normalize=self.normalize)
        campaign, tally = intake.take_in(source, terms, campaign, on_progress=on_progress, on_invalid=on_invalid)
        warnings = (*text_warnings(source, terms, tally), *window_warnings(terms, tally))
        return Created(campaign=campaign, duplicate=False, tally=tally, warnings=warnings)

    def dry_run(
        self,
        recipients: Recipients,
        *,
        name: str = "dry run",
        encoding: str | None = None,
        delimiter: str | None = None,
        on_progress: Callable[[Loading], None] = lambda _: None,
        on_invalid: Callable[[Sequence[Invalid]], None] = lambda _: None,
        **wanted: Unpack[Wanted],
    ) -> DryRun:
        """Say what ``create`` with the same arguments would come to; nothing is written.

        :raises InvalidCampaign: something about it is wrong.
        """
        terms = self._terms(name, wanted)
        source = open_source(recipients, encoding=encoding, delimiter=delimiter)
        rates = Rates(configured=self.rates[terms.channel], effective=self._effective(terms.channel))
        now = self.clock.now()
        return dry_run(
            source,
            terms,
            self.books,
            rates,
            now=now,
            normalize=self.normalize,
            on_progress=on_progress,
            on_invalid=on_invalid,
        )

    def start(self, campaign: UUID | str, *, at: datetime | None = None, reason: str | None = None) -> Campaign:
        """Start a draft or a scheduled campaign, now or at a moment to come.

        :raises CampaignRefused: it is not loaded yet, or in another state.
        """
        now = self.clock.now()
        if at is not None and at <= now:
            raise InvalidCampaign("starts_at", f"{at:%Y-%m-%d %H:%M:%S %Z} is past; give a moment to come, or none")
        found = self.books.find(campaign)
        if found.expires_at is not None and (at or now) >= found.expires_at:
            raise InvalidCampaign(
                "starts_at", f"its messages expire before, at {found.expires_at:%Y-%m-%d %H:%M:%S %Z}; make it anew"
            )
        if found.send_window is not None and found.expires_at is not None:
            self._require_opening(found, at or now)
        started = self.books.start(found.id, self._by(reason), at=at)
        self.bell.ring()
        return started

    def pause(self, campaign: UUID | str, *, reason: str | None = None, until: datetime | None = None) -> Campaign:
        """Stop a campaign at the next claim, everywhere. What is under way lands.

        :param until: when it goes on by itself; at ``resume`` if left out.
        :raises CampaignRefused: it neither runs nor waits for its start.
        """
        now = self.clock.now()
        if until is not None and until <= now:
            raise InvalidCampaign("until", f"{until:%Y-%m-%d %H:%M:%S %Z} is past; give a moment to come")
        return self.books.pause(campaign, self._by(reason or "no reason given"), until=until)

    def resume(self, campaign: UUID | str, *, reason: str | None = None) -> Campaign:
        """Go on with exactly those that have not been sent.

        :raises CampaignRefused: it is not paused.
        """
        resumed = self.books.resume(campaign, self._by(reason))
        self.bell.ring()
        return resumed

    def cancel(self, campaign: UUID | str, *, reason: str | None = None) -> Campaign:
        """Never send another one. What is under way lands; what is queued becomes ``cancelled`` within seconds.

        :raises CampaignRefused: it is over.
        """
        return self.books.cancel(campaign, self._by(reason))

    def progress(self, campaign: UUID | str, *, lately: bool = False) -> Progress:
        """Say how far it is.

        :param lately: what the clock counted some seconds ago will do; then nothing is counted now.
        """
        return read_progress(self.books.find(campaign), self.books, now=self.clock.now(), lately=lately)

    def listed(self, *, limit: int = 50) -> list[Progress]:
        """Say how far the newest campaigns are, by what the clock counted some seconds ago."""
        return read_many(self.books.listed(limit=limit), self.books, now=self.clock.now())

    def retry_failed(self, campaign: UUID | str, *, reason: str | None = None) -> tuple[Campaign, int]:
        """Queue its dead and expired messages again, with fresh attempts, and return how many. Never one in doubt.

        :raises CampaignRefused: it was cancelled, or never started.
        """
        retried = self.books.retry_failed(campaign, self._by(reason), budget=self.max_attempts, life=MESSAGE_LIFE)
        self.bell.ring()
        return retried

    def deliveries(self, campaign: UUID | str) -> Iterator[Delivery]:
        """Yield who got it, who did not, and why, by number."""
        return self.books.deliveries(self.books.find(campaign).id)

    def _require_opening(self, campaign: Campaign, start: datetime) -> None:
        """Refuse a start after which the send window opens for no recipient before the messages expire."""
        window, end = parse_window(campaign.send_window or ""), campaign.expires_at or start + DEFAULT_LIFE
        lanes = self.books.lanes(campaign.id)
        if lanes and not any(window.interval(start, tuple(zones.split()), before=end) for zones in lanes):
            raise InvalidCampaign(
                "starts_at",
                f"its window, {window}, is never open between then and {written(end)}, when its messages expire",
            )

    def _begun(self, name: str) -> bool:
        try:
            return self.books.find(name).state is not CampaignState.CANCELLED
        except CampaignNotFound:
            return False

    def _terms(self, name: str, wanted: Wanted) -> Terms:
        terms = check_campaign(name, wanted, now=self.clock.now(), region=self.region)
        return replace(terms, max_parts=self.max_parts)

    def _make(self, source: Source, terms: Terms) -> tuple[Campaign, bool]:
        lay_out(source.columns, terms)  # before the campaign is made: a missing column makes none
        by = self._by(None)
        id_ = uuid7(int(by.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS))
        expires_at = terms.expires_at or (terms.starts_at or by.now) + DEFAULT_LIFE
        return self.books.make(terms, by, id=id_, source=source.name, digest=source.digest, expires_at=expires_at)

    def _effective(self, channel: Channel) -> float | None:
        try:
            return self.limiter.state(channel).effective_rate
        except BrokerUnavailable:
            return None

    def _by(self, reason: str | None) -> By:
        return By(actor=self.actor, reason=reason, now=self.clock.now())
