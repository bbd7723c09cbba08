"""The only place where ports meet adapters: settings in, services out. Each part is built when it is first needed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dispatcher.domain.errors import SettingsError
from dispatcher.domain.message import Channel, Intake
from dispatcher.installation import loading
from dispatcher.logs import get_logger
from dispatcher.meter import Meter, Unmeasured
from dispatcher.private_files import tighten_home
from dispatcher.settings import Settings

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy import Engine

    from dispatcher.admin import OperatorService, Pruning, Role
    from dispatcher.broker import CeleryBell, RedisDutyReports
    from dispatcher.broker.connecting import RedisServer
    from dispatcher.campaigns import Campaigns
    from dispatcher.domain.policy import Policy
    from dispatcher.engine import HeldAnswers, Pump, Spool, Tick
    from dispatcher.gateway import Endpoint
    from dispatcher.ledger import (
        Books,
        BrokerIntake,
        CampaignBooks,
        Deadlines,
        InspectionBooks,
        LedgerClock,
        Outbox,
        SqlLedger,
    )
    from dispatcher.limits import RedisLimiter
    from dispatcher.oauth import SharedTokenSource
    from dispatcher.ports import Transport

log = get_logger(__name__)

TOKEN_WAIT = timedelta(seconds=2)
"""How long a pump waits for a token that another process is fetching, before it goes on with what is in flight."""
APPLICATION_WAITS = timedelta(seconds=0.4)
"""How long an application waits for Redis, at each step: an enqueue waits less than a second in all."""
REDIS_WAIT = timedelta(seconds=3)
"""The same for everybody else: a Redis that is half a second away is slow, and there."""
SWEEP_GRACE = timedelta(seconds=15)
"""After the ledger was away, workers get this long to settle what they spooled before their leases are taken back."""


class Services:
    """Every part of one process. Built after a fork: connections and threads do not survive one."""

    def __init__(
        self,
        settings: Settings,
        *,
        meter: Meter | None = None,
        redis_wait: timedelta = REDIS_WAIT,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Take the settings; nothing is opened yet.

        :param redis_wait: how long a connection to Redis and a reply of Redis are awaited, each.
        :param deadlines: of the ledger's sessions; those of a worker if left out.
        """
        self.settings = settings
        self._deadlines = deadlines
        self.meter = meter or Unmeasured()
        self._redis_wait = redis_wait
        self.worker = f"{socket.gethostname()}:{os.getpid()}"

    @cached_property
    def engine(self) -> Engine:
        """The ledger's database."""
        from dispatcher.ledger import PROMPT, make_engine

        return make_engine(self.settings.ledger, deadlines=self._deadlines or PROMPT)

    @cached_property
    def outbox(self) -> Outbox:
        """The ledger as applications write to it."""
        from dispatcher.ledger import Outbox

        return Outbox(engine=self.engine)

    @cached_property
    def broker_intake(self) -> BrokerIntake:
        """The ledger as it takes messages that came through the broker."""
        from dispatcher.ledger import BrokerIntake

        return BrokerIntake(engine=self.engine)

    @cached_property
    def books(self) -> Books:
        """The ledger as applications and operators use it."""
        from dispatcher.ledger import Books

        return Books(engine=self.engine)

    @cached_property
    def campaign_books(self) -> CampaignBooks:
        """The ledger as campaigns use it."""
        from dispatcher.ledger import CampaignBooks

        return CampaignBooks(engine=self.engine)

    @cached_property
    def inspection_books(self) -> InspectionBooks:
        """The ledger as operators look at it and put it right in bulk."""
        from dispatcher.ledger import InspectionBooks

        return InspectionBooks(engine=self.engine)

    def operator(self, name: str, *, role: Role | None = None, sees_numbers: bool = True) -> OperatorService:
        """Build the use cases of one actor.

        :param name: the actor in the audit trail; cut to 100 characters.
        :param role: what the actor may do; None: everything, as on the command line of this machine.
        :param sees_numbers: whether queries may contain phone numbers, which lists mask.
        """
        from dispatcher.admin import Actor, OperatorService, Role

        return OperatorService(
            books=self.inspection_books,
            limiter=self.limiter,
            bell=self.bell,
            clock=self.clock,
            actor=Actor(name=name[:100], role=Role.PAYMENTS if role is None else role),
            intake=self.intake,
            messages=self.books,
            request_token=self._request_token,
            sees_numbers=sees_numbers,
        )

    def _request_token(self) -> None:
        with suppress(SettingsError):  # no API is configured
            self.tokens.try_again()

    def pruning(self, actor: str) -> Pruning:
        """Build what prunes the ledger, for somebody who acts."""
        from dispatcher.admin import Pruning
        from dispatcher.ledger import RetentionBooks

        return Pruning(books=RetentionBooks(engine=self.engine), clock=self.clock, actor=actor)

    def campaigns(self, actor: str) -> Campaigns:
        """Build what makes and runs campaigns, for somebody who acts."""
        from dispatcher.campaigns import Campaigns

        sms, gift = self.settings.rates
        return Campaigns(
            books=self.campaign_books,
            limiter=self.limiter,
            bell=self.bell,
            clock=self.clock,
            rates={Channel.SMS: sms, Channel.GIFT: gift},
            max_attempts=self.settings.max_attempts,
            region=self.settings.region or None,
            normalize=self.settings.normalize_text,
            max_parts=self.settings.sms_max_parts,
            actor=actor,
        )

    @cached_property
    def ledger(self) -> SqlLedger:
        """The ledger as the engine uses it."""
        from dispatcher.ledger import SqlLedger

        return SqlLedger.on(self.engine)

    @cached_property
    def clock(self) -> LedgerClock:
        """Time as the ledger counts it."""
        from dispatcher.ledger import LedgerClock

        return LedgerClock(self.engine)

    @cached_property
    def redis(self) -> Redis:
        """Redis for token, limits and bell."""
        from dispatcher.broker.connecting import connect

        return connect(redis_server(self.settings), connect_timeout=self._redis_wait, reply_timeout=self._redis_wait)

    @cached_property
    def bell(self) -> CeleryBell:
        """The bell that wakes workers."""
        from dispatcher.broker import CeleryBell

        return CeleryBell(self.redis)

    @cached_property
    def duties(self) -> RedisDutyReports:
        """Where a clock reports its failing duties."""
        from dispatcher.broker import RedisDutyReports

        return RedisDutyReports(self.redis)

    @cached_property
    def limiter(self) -> RedisLimiter:
        """Fleet-wide permits."""
        from dispatcher.limits import Breaker, RedisLimiter

        sms, gift = self.settings.rates
        configured = {Channel.SMS: sms, Channel.GIFT: gift}
        permits = {channel: rate.at_the_permit() for channel, rate in configured.items()}
        # A probe may take as long as a call.
        longest = max(Breaker().probe_timeout, self.settings.http_deadline + timedelta(seconds=5))
        breaker = Breaker(probe_timeout=longest)
        return RedisLimiter(self.redis, permits, self.worker, self.clock, configured=configured, breaker=breaker)

    @cached_property
    def tokens(self) -> SharedTokenSource:
        """The shared access token."""
        settings = self.settings
        require_api(settings)
        from dispatcher.oauth import Credentials, Mint, SharedTokenSource, TokenStore

        credentials = Credentials(
            token_url=settings.api_base_url + settings.token_path,
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            scopes=settings.scope_set,
        )
        return SharedTokenSource(
            store=TokenStore(redis=self.redis, credentials=credentials),
            mint=Mint(credentials=credentials, proxy=settings.proxy.get_secret_value(), ca_bundle=settings.ca_bundle),
            clock=self.clock,
            wait=TOKEN_WAIT,
            meter=self.meter,
        )

    @cached_property
    def transport(self) -> Transport:
        """Carries messages to the API."""
        settings = self.settings
        require_api(settings)
        return _transport(settings.transport)(
            base_url=settings.api_base_url,
            endpoints=self.endpoints,
            capacity=settings.concurrency,
            connect_timeout=timedelta(seconds=settings.connect_timeout),
            read_timeout=settings.read_timeouts[Channel.SMS],
            clock=self.clock,
            proxy=settings.proxy.get_secret_value() or None,
            ca_bundle=settings.ca_bundle or None,
            probe_path=settings.probe_path,
        )

    @property
    def endpoints(self) -> dict[Channel, Endpoint]:
        """How each channel is sent."""
        from dispatcher.gateway import gift_endpoint, sms_endpoint

        settings = self.settings
        timeouts = settings.read_timeouts
        return {
            Channel.SMS: sms_endpoint(settings.sms_path, read_timeout=timeouts[Channel.SMS]),
            Channel.GIFT: gift_endpoint(settings.gift_path, read_timeout=timeouts[Channel.GIFT]),
        }

    @property
    def scopes(self) -> dict[Channel, str]:
        """The scope that each channel's call needs."""
        return {channel: endpoint.scope for channel, endpoint in self.endpoints.items()}

    @property
    def policies(self) -> dict[Channel, Policy]:
        """What follows which outcome."""
        from dispatcher.domain.policy import GIFT_POLICY, SMS_POLICY

        named = frozenset(self.settings.gift_not_carried_out.replace(",", " ").split())
        return {Channel.SMS: SMS_POLICY, Channel.GIFT: replace(GIFT_POLICY, not_carried_out=named)}

    @property
    def intake(self) -> Intake:
        """What every message gets that its caller does not say."""
        return Intake(
            max_attempts=self.settings.max_attempts,
            region=self.settings.region or None,
            normalize=self.settings.normalize_text,
            max_parts=self.settings.sms_max_parts,
        )

    @cached_property
    def spool(self) -> Spool:
        """Answers on this host's disk that the ledger does not have."""
        from dispatcher.engine import Spool

        return Spool(spool_folder(self.settings), self.worker, self.ledger.identity)

    @cached_property
    def held(self) -> HeldAnswers:
        """Answers that neither the ledger nor the disk could take yet."""
        from dispatcher.engine import HeldAnswers

        return HeldAnswers(spool=self.spool, ledger=self.ledger)

    def pump(self, stopping: Callable[[], bool] = lambda: False) -> Pump:
        """Build a pump for one slice."""
        from dispatcher.engine import Pump, PumpShape, Settling

        settings = self.settings
        settling = Settling(
            ledger=self.ledger,
            limiter=self.limiter,
            tokens=self.tokens,
            clock=self.clock,
            spool=self.spool,
            held=self.held,
            policies=self.policies,
            worker=self.worker,
            configuration_pause=timedelta(seconds=settings.configuration_pause),
            meter=self.meter,
        )
        return Pump(
            ledger=self.ledger,
            limiter=self.limiter,
            tokens=self.tokens,
            transport=self.transport,
            settling=settling,
            bell=self.bell,
            clock=self.clock,
            scopes=self.scopes,
            worker=self.worker,
            shape=PumpShape(
                capacity=settings.concurrency,
                slice=timedelta(seconds=settings.slice_seconds),
                lease=timedelta(seconds=settings.lease_seconds),
                bulk_share=settings.bulk_share,
            ),
            stopping=stopping,
            meter=self.meter,
        )

    @cached_property
    def tick(self) -> Tick:
        """The clock's beat."""
        from dispatcher.engine import Tick

        return Tick(
            ledger=self.ledger,
            bell=self.bell,
            clock=self.clock,
            synchronise=self.clock.keep_in_step,
            policies=self.policies,
            worker=self.worker,
            grace=min(SWEEP_GRACE, timedelta(seconds=self.settings.lease_seconds)),
            meter=self.meter,
            reports=self.duties,
        )

    def close(self) -> None:
        """Give up what was opened, once what this process still holds is safe or its last while is over."""
        if "held" in self.__dict__:
            self.held.close()
        for name in ("transport", "redis"):
            if name in self.__dict__:
                self.__dict__[name].close()
        if "engine" in self.__dict__:
            self.engine.dispose()


def redis_server(settings: Settings) -> RedisServer:
    """Return where Redis is, and with which certificates.

    :raises SettingsError: a file of certificates cannot be read.
    """
    from dispatcher.broker.connecting import RedisServer

    server = RedisServer(
        address=settings.redis_address,
        ca_bundle=settings.redis_ca_bundle,
        client_cert=settings.redis_client_cert,
        client_key=settings.redis_client_key,
    )
    server.check_files()
    return server


def _transport(name: str) -> Callable[..., Transport]:
    """Return the transport of a name.

    :raises InstallationError: its library is not installed.
    """
    if name == "requests":
        from dispatcher.gateway import RequestsTransport

        return RequestsTransport
    with loading("DISPATCHER_TRANSPORT=aiohttp"):
        from dispatcher.gateway.aiohttp_transport import AiohttpTransport
    return AiohttpTransport


def secure_home(settings: Settings) -> None:
    """Take the rights of other users to HOME and what is in it away, and log what they could read until now."""
    found, left = tighten_home(settings.home)
    if found:
        log.warning("home_was_open", files=[str(path) for path in found], still_open=[str(path) for path in left])


def spool_folder(settings: Settings) -> Path:
    """Return where this host's spools are."""
    return settings.home / "spool"


def require_spool(settings: Settings) -> None:
    """Check that answers could be kept on disk while the ledger is away.

    :raises SettingsError: the folder cannot be made or written to.
    """
    from dispatcher.spool_files import check_writable

    folder = spool_folder(settings)
    try:
        check_writable(folder)
    except OSError as error:
        raise SettingsError(
            f"DISPATCHER_HOME: {folder} cannot be written to ({error.strerror or error}); a worker keeps answers there "
            "while the ledger is away"
        ) from None


def require_api(settings: Settings) -> None:
    """Refuse to go on without the API's address and credentials.

    :raises SettingsError: which of them is missing, or that the address would send the secret in clear.
    """
    missing = [
        name
        for name, value in (
            ("DISPATCHER_API_BASE_URL", settings.api_base_url),
            ("DISPATCHER_CLIENT_ID", settings.client_id),
            ("DISPATCHER_CLIENT_SECRET", settings.client_secret.get_secret_value()),
        )
        if not value
    ]
    if missing:
        raise SettingsError(f"{', '.join(missing)}: not set; the API cannot be called without")
    plain = settings.api_base_url.startswith("http://")
    if plain and not is_local(settings.api_base_url) and not settings.allow_http:
        raise SettingsError(
            "DISPATCHER_API_BASE_URL: plain http:// would send the secret in clear; "
            "use https://, or set DISPATCHER_ALLOW_HTTP=true if you mean it"
        )


def is_local(url: str) -> bool:
    """Whether a URL is one of this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
