"""The links of the chain from the settings to the API, in the order in which `dispatcher check` looks at them."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Callable
from datetime import timedelta

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from dispatcher.cli import secret_files
from dispatcher.cli.checkup import Link, Mark, Step, Trouble, Walk, skipped, take, warning
from dispatcher.cli.when import in_words
from dispatcher.domain.errors import BrokerUnavailable, LedgerUnavailable, ScopeMissing, SettingsError, TokenUnavailable
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.words import roughly
from dispatcher.ledger import HEAD, PROBE, SqlLedger, current, durability_risks, require_writable, wal_is_safe
from dispatcher.ports import Token
from dispatcher.settings import GATEWAY_LIMIT, GIFT_READ_TIMEOUT, load_settings
from dispatcher.spool_files import count
from dispatcher.wiring import Services, is_local, require_api, require_spool, spool_folder

_PROBE = "dispatcher:check"
"""A key that is written to see whether that can be done; it lives for a second."""
_SKEW = timedelta(seconds=1)
_OLDEST_POSTGRESQL = (15,)


def walk_all(*, without_api: bool = False) -> list[Step]:
    """Look at every link, or only at those on this side of the API."""
    links = tuple(link for link in LINKS if not (without_api and (link.asks_api or link.fixed)))
    try:
        services = Services(load_settings(), deadlines=PROBE)
    except SettingsError as error:
        broken = Step(name="settings", mark=Mark.FAULT, found=str(error), advice="correct it; docs/settings.md has all")
        return [broken, *(skipped(Link(name=link.name, look=link.look, needs="settings")) for link in links[1:])]
    try:
        return list(take(links, Walk(services=services)))
    finally:
        services.close()


def _settings(walk: Walk) -> str:
    return f"no contradictions; home is {walk.services.settings.home}"


def _installation(walk: Walk) -> str:
    from dispatcher.preflight import Role, check_installation

    for role in Role:
        check_installation(walk.services.settings, role)
    return f"Python {platform.python_version()}; all packages that these settings need can be loaded"


def _api(walk: Walk) -> str:
    settings = walk.services.settings
    try:
        require_api(settings)
    except SettingsError as error:
        raise Trouble(str(error), "set it in the environment, in .env, or through a file (…_FILE)") from None
    return f"{settings.api_base_url}, client id and secret are set"


def _lease(walk: Walk) -> str:
    settings = walk.services.settings
    lease, gift = settings.lease_seconds, settings.read_timeouts[Channel.GIFT]
    if gift <= GATEWAY_LIMIT and not is_local(settings.api_base_url):
        raise warning(
            f"a gift's answer is awaited for {gift.total_seconds():g} s; API Gateway may take "
            f"{GATEWAY_LIMIT.total_seconds():g} s to answer, and a gift without its answer is in doubt",
            f"set DISPATCHER_GIFT_READ_TIMEOUT to {GIFT_READ_TIMEOUT:g}",
        )
    return f"a lease ({lease:g} s) outlives the longest call ({settings.http_deadline.total_seconds():g} s)"


def _ledger(walk: Walk) -> str:
    engine = walk.services.engine
    try:
        current(engine)
    except LedgerUnavailable as away:
        raise Trouble(str(away), "start the database, or correct DISPATCHER_LEDGER_URL") from None
    try:
        require_writable(engine)
    except LedgerUnavailable as refused:
        raise Trouble(str(refused), "nothing can be enqueued or sent until it can be written to") from None
    if engine.dialect.name == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}, {engine.url.database}"
    version: tuple[int, ...] = getattr(engine.dialect, "server_version_info", None) or (0,)
    found = f"PostgreSQL {'.'.join(str(part) for part in version)}"
    if version < _OLDEST_POSTGRESQL:
        raise warning(found, f"it is tested with {_OLDEST_POSTGRESQL[0]} and newer: update the server")
    return found


def _schema(walk: Walk) -> str:
    found, wanted = current(walk.services.engine), HEAD
    if found == wanted:
        return f"at revision {found}, the newest"
    if found is not None and found > wanted:
        raise Trouble(
            f"at revision {found}, newer than this version's {wanted}", "update this installation of dispatcher"
        )
    raise Trouble(f"{f'at revision {found}' if found else 'empty'}, {wanted} is needed", "run `dispatcher migrate`")


def _journal(walk: Walk) -> str:
    if walk.services.engine.dialect.name != "sqlite":
        return "PostgreSQL: any number of hosts"
    one_host = "all processes must run on this host; for several use PostgreSQL"
    if wal_is_safe():
        raise warning("SQLite with a write-ahead log: one host only", one_host)
    raise warning(
        f"SQLite {sqlite3.sqlite_version} with a rollback journal, one host only: its write-ahead log can corrupt the "
        "ledger when several processes write",
        f"SQLite 3.51.3 is faster; {one_host}",
    )


def _durability(walk: Walk) -> str:
    engine = walk.services.engine
    risks = durability_risks(engine)
    if risks:
        raise warning(
            "; ".join(risks),
            "set fsync and full_page_writes on, and make standbys synchronous (synchronous_standby_names)",
        )
    return "what the database confirms survives a crash"


def _open_transactions(walk: Walk) -> str:
    oldest = SqlLedger.on(walk.services.engine).oldest_transaction()
    if walk.services.engine.dialect.name != "postgresql":
        return "SQLite: a reader holds nothing back"
    if oldest is None:
        return "none"
    who = oldest.application or "an application without a name"
    who += f" (process {oldest.pid}, role {oldest.role})" if oldest.pid is not None and oldest.role else ""
    if oldest.open_for is None:
        since = f"for an unknown time; {oldest.transactions:,} transactions began since"
    else:
        since = f"for {'' if oldest.exact else 'at least '}{roughly(oldest.open_for)}"
    found = f"the oldest is of {who}, open {since}"
    if not oldest.is_long:
        return found
    advice = "while it is open, dead rows pile up and the ledger gets slower: end it"
    advice += f", for example with SELECT pg_terminate_backend({oldest.pid})" if oldest.pid is not None else ""
    raise warning(found, advice)


def _clock(walk: Walk) -> str:
    skew = walk.services.clock.synchronise()
    if walk.services.engine.dialect.name == "sqlite":
        return "the ledger's clock is this host's"
    size = in_words(abs(skew))
    if abs(skew) > _SKEW:
        way = "behind" if skew > timedelta(0) else "ahead of"
        raise warning(
            f"this host's clock is {size} {way} the ledger's", "let NTP set both; leases allow for it till then"
        )
    return f"{size} from the ledger's"


def _redis(walk: Walk) -> str:
    redis = walk.services.redis
    try:
        redis.ping()
        redis.set(_PROBE, 1, px=1000)
    except AuthenticationError as error:
        raise Trouble(f"Redis refuses us: {error}", "correct user and password in DISPATCHER_REDIS_URL") from None
    except NoPermissionError as error:
        raise Trouble(
            f"Redis allows too little: {error}", "give the user what docs/deploying.md has: ~dispatcher:* and commands"
        ) from None
    except ResponseError as error:
        raise Trouble(
            f"Redis cannot be written to: {error}",
            "point DISPATCHER_REDIS_URL at the master, or give the server disk and memory; messages wait until then",
        ) from None
    except (RedisError, OSError) as error:
        raise Trouble(
            f"Redis cannot be reached: {error}",
            "start it, or correct DISPATCHER_REDIS_URL; messages are taken and kept until then, but not sent on time",
        ) from None
    try:
        found = redis.info()
    except NoPermissionError:
        return "reachable"  # the steps that follow have nothing to look at
    walk.redis = {str(name): str(value) for name, value in dict(found).items()}
    if walk.redis.get("redis_mode") == "cluster" or walk.redis.get("cluster_enabled") == "1":
        raise Trouble("this is a Redis Cluster", "use a single server, with replicas if you like: Celery needs one")
    return "reachable"


def _asking_info(look: Callable[[Walk], str]) -> Callable[[Walk], str]:
    """Look only if the server said something about itself."""
    return lambda walk: look(walk) if walk.redis else "not checked: this user of Redis may not use INFO"


def _clock_duties(walk: Walk) -> str:
    failing = walk.services.duties.read()
    if failing:
        told = "; ".join(f"{each.duty.value} ({each.failures} times): {each.reason}" for each in failing)
        raise Trouble(f"duties of the clock keep failing: {told}", "see duty_failed in the clock's log")
    return "none of the clock's duties is reported to fail"


def _redis_version(walk: Walk) -> str:
    valkey = walk.redis.get("valkey_version")
    name, version, oldest = ("Valkey", valkey, 8) if valkey else ("Redis", walk.redis.get("redis_version", "0"), 7)
    if int(version.split(".")[0] or 0) < oldest:
        raise Trouble(f"{name} {version}", f"use Redis 7, Valkey 8 or newer: the scripts need {name} {oldest}")
    return f"{name} {version}"


def _redis_memory(walk: Walk) -> str:
    policy = walk.redis.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        raise warning(
            f"maxmemory-policy is {policy}: under pressure bells, limits and the token may vanish",
            "set maxmemory-policy noeviction",
        )
    return "evicts nothing"


def _redis_persistence(walk: Walk) -> str:
    if walk.redis.get("aof_enabled") != "1":
        raise warning(
            "appendonly is no: a restart forgets bells, limits and the token; nothing of the ledger's is lost",
            "set appendonly yes, above all if messages are enqueued through the broker alone",
        )
    return "appendonly is on"


def _token(walk: Walk) -> str:
    tokens = walk.services.tokens
    try:
        shared = tokens.state().generation
    except BrokerUnavailable:
        shared = None
    try:
        walk.token = _any_token(walk)
    except ScopeMissing as missing:
        raise Trouble(str(missing), "set DISPATCHER_SCOPES to what the provider grants you") from None
    except TokenUnavailable as trouble:
        raise Trouble(trouble.reason, f"it is asked for again in {in_words(trouble.retry_after)}") from None
    oddities = _oddities(walk)
    how = "shared by the fleet" if walk.token.generation == shared else "just fetched"
    found = f"generation {walk.token.generation}, {how}; granted {' '.join(sorted(walk.token.scopes)) or 'nothing'}"
    if oddities:
        raise warning(
            f"{found}. The API's answer is against RFC 6749: {'; '.join(oddities)}", "tell the provider; it works so"
        )
    return found


def _oddities(walk: Walk) -> tuple[str, ...]:
    try:
        return walk.services.tokens.state().oddities
    except BrokerUnavailable:
        return ()


def _any_token(walk: Walk) -> Token:
    """Return a token, whichever of the settings' scopes it was granted: the steps after this one look at them."""
    scopes = sorted(walk.services.settings.scope_set) or [""]
    for scope in scopes[:-1]:
        try:
            return walk.services.tokens.token(scope)
        except ScopeMissing:
            continue
    return walk.services.tokens.token(scopes[-1])


def _scope_of(channel: Channel) -> Link:
    def look(walk: Walk) -> str:
        scope = walk.services.scopes[channel]
        if walk.token is not None and scope in walk.token.scopes:
            return f"{scope} is granted"
        if scope not in walk.services.settings.scope_set:
            raise warning(
                f"{scope} is not asked for, so {channel.value} cannot be sent",
                f"add {scope} to DISPATCHER_SCOPES if it should be",
            )
        raise Trouble(
            f"{scope} is not granted, so {channel.value} cannot be sent",
            f"ask the provider to grant {scope} to this client",
        )

    return Link(name=f"scope {channel.value}", look=look, needs="token", asks_api=True)


def _probe(walk: Walk) -> str:
    if walk.token is None:
        raise Trouble("there is no token to try", None)
    outcome = walk.services.transport.probe(walk.token)
    path = walk.services.settings.probe_path
    heard = " ".join(
        str(part) for part in (outcome.http_status, outcome.error, outcome.error_description) if part is not None
    )
    if outcome.kind is OutcomeKind.ACCEPTED:
        return f"{path} takes the token"
    advice = {
        OutcomeKind.NOT_SENT: "check DISPATCHER_API_BASE_URL, the network and DISPATCHER_PROXY",
        OutcomeKind.IN_DOUBT: "check the network and DISPATCHER_PROXY; then try again",
        OutcomeKind.UNAUTHORIZED: "the API grants tokens that it refuses: ask the provider",
        OutcomeKind.MISCONFIGURED: "check DISPATCHER_API_BASE_URL and DISPATCHER_PROBE_PATH with the provider",
        OutcomeKind.THROTTLED: "wait a little: the API asks to slow down",
    }.get(outcome.kind, "the API is in trouble: ask the provider, then try again")
    raise Trouble(f"{path} does not work: {heard or outcome.kind.value}", advice)


def _spool(walk: Walk) -> str:
    require_spool(walk.services.settings)
    folder = spool_folder(walk.services.settings)
    found = count(folder)
    if found.quarantined:
        raise warning(
            f"{found.quarantined} in quarantine in {folder}: the ledger did not take them",
            "see `dispatcher spool list`; once the cause is gone, `dispatcher spool retry` settles them",
        )
    if found.waiting:
        raise warning(
            f"{found.waiting} answers wait in {folder} to be settled",
            "start a worker on this host; it settles them before it claims",
        )
    return "empty, and can be written to"


LINKS = (
    Link(name="settings", look=_settings),
    Link(name="home", look=secret_files.look_at_home),  # first: whatever opens the ledger closes its file to others
    Link(name="installation", look=_installation, fixed=True),
    Link(name="secret files", look=secret_files.look),
    Link(name="api", look=_api),
    Link(name="lease", look=_lease),
    Link(name="ledger", look=_ledger),
    Link(name="schema", look=_schema, needs="ledger"),
    Link(name="journal", look=_journal, needs="ledger"),
    Link(name="durability", look=_durability, needs="ledger"),
    Link(name="open transactions", look=_open_transactions, needs="schema"),
    Link(name="clock", look=_clock, needs="ledger"),
    Link(name="redis", look=_redis),
    Link(name="clock duties", look=_clock_duties, needs="redis"),
    Link(name="redis version", look=_asking_info(_redis_version), needs="redis"),
    Link(name="redis memory", look=_asking_info(_redis_memory), needs="redis"),
    Link(name="redis disk", look=_asking_info(_redis_persistence), needs="redis"),
    Link(name="token", look=_token, needs="api", asks_api=True),
    *(_scope_of(channel) for channel in Channel),
    Link(name="test call", look=_probe, needs="token", asks_api=True),
    Link(name="spool", look=_spool),
)
