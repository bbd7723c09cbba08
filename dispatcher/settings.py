"""Every setting: its name, its default and one line of help. Environment ``DISPATCHER_…``, ``.env``, or a file each."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from dispatcher.domain.errors import SettingsError
from dispatcher.domain.message import Channel
from dispatcher.domain.rate import Rate, parse_rate
from dispatcher.domain.redis_address import RedisAddress, parse_redis_url
from dispatcher.domain.retention import LONGEST_DAYS, Ages
from dispatcher.domain.segments import MAX_PARTS
from dispatcher.service_links import is_service_link

PREFIX = "DISPATCHER_"
_DOTENV = Path(".env")
EMBEDDED_FILE = "embedded.env"
"""Where ``dispatcher up`` leaves the addresses of what it started, under HOME, for other terminals to find."""
GATEWAY_LIMIT = timedelta(seconds=29)
"""After this, API Gateway answers 504 by default. To wait longer is to have its answer rather than silence."""
GIFT_READ_TIMEOUT = GATEWAY_LIMIT.total_seconds() + 2


def default_home() -> Path:
    """Return the folder of embedded data and spool where none is given.

    :raises SettingsError: the user has no home directory, as in a container that runs under a bare user id.
    """
    given = os.environ.get("DISPATCHER_HOME")
    if given:
        return Path(given)
    try:
        return Path.home() / ".dispatcher"
    except RuntimeError:
        raise SettingsError(
            f"DISPATCHER_HOME: not set, and the user with id {os.getuid()} has no home directory; "
            "set it to a folder that this user may write to"
        ) from None


class Settings(BaseModel):
    """All settings, checked against each other. ``repr`` hides the secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    home: Path = Field(default_factory=default_home, description="Folder where embedded data and the spool live.")
    ledger_url: SecretStr = Field(
        default=SecretStr(""),
        description="SQLAlchemy URL of the ledger: postgresql+psycopg://… in production; default SQLite under HOME.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis 7+ or Valkey 8+: broker, token, limits. A database number of its own, noeviction.",
    )
    redis_ca_bundle: str = Field(
        default="", description="File of CA certificates for rediss:// instead of the system's; always verified."
    )
    redis_client_cert: str = Field(default="", description="File of the certificate that Redis asks clients for.")
    redis_client_key: str = Field(
        default="", description="File of that certificate's key, if it is not in the same file."
    )
    api_base_url: str = Field(default="", description="The remote API's base URL, e.g. https://api.example.com.")
    client_id: str = Field(default="", description="OAuth2 client id.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="OAuth2 client secret; best from a file.")
    scopes: str = Field(default="write gifting:send", description="Scopes to ask for, separated by spaces.")
    token_path: str = Field(default="/oauth2/token", description="Path of the token call under the base URL.")
    sms_path: str = Field(default="/sendSMS", description="Path of the SMS call under the base URL.")
    gift_path: str = Field(default="/gifting/send", description="Path of the gift call under the base URL.")
    probe_path: str = Field(default="/test-oauth2", description="Path that answers whether a token works.")
    sms_rate: str = Field(default="100/s", description="Ceiling for SMS, fleet-wide: 50/s, 600/m, 50/s burst 10.")
    gift_rate: str = Field(default="10/s", description="Ceiling for gifts, fleet-wide; same form.")
    concurrency: int = Field(default=64, ge=1, le=1024, description="Requests in flight per worker process.")
    processes: int = Field(default=2, ge=1, le=64, description="Worker processes that one `dispatcher worker` starts.")
    transport: Literal["requests", "aiohttp"] = Field(
        default="requests", description="HTTP client that sends; aiohttp needs the extra dispatcher[aiohttp]."
    )
    max_attempts: int = Field(default=5, ge=1, le=100, description="Attempts that may reach the API before dead.")
    sms_max_parts: int = Field(
        default=MAX_PARTS, ge=1, le=10, description="SMS parts that a text may take; 2 are 306 characters of GSM-7."
    )
    connect_timeout: float = Field(default=3.05, gt=0, le=60, description="Seconds to connect, TLS included.")
    read_timeout: float = Field(
        default=15, gt=0, le=120, description="Seconds to the end of the answer, in all, on channels without their own."
    )
    sms_read_timeout: float | None = Field(
        default=None, gt=0, le=120, description="The same for SMS; default DISPATCHER_READ_TIMEOUT."
    )
    gift_read_timeout: float | None = Field(
        default=None,
        gt=0,
        le=120,
        description="The same for gifts; default DISPATCHER_READ_TIMEOUT if set, else 31: API Gateway's 29 and 2.",
    )
    lease_seconds: float = Field(
        default=60, gt=0, le=3600, description="Life of a claim; longer than the HTTP deadline."
    )
    slice_seconds: float = Field(default=5, gt=0, le=60, description="How long a pump claims before it hands over.")
    bulk_share: float = Field(default=0.1, ge=0, le=0.9, description="Share of claims that bulk keeps under load.")
    gift_not_carried_out: str = Field(
        default="",
        description="HTTP statuses or error codes of gift failures that the provider guarantees were not carried out.",
    )
    configuration_pause: float = Field(
        default=300, gt=0, description="Seconds that a channel stays paused after a configuration fault, then tries."
    )
    proxy: SecretStr = Field(
        default=SecretStr(""), description="HTTP proxy for the API; the environment's proxies are not used."
    )
    ca_bundle: str = Field(default="", description="File of CA certificates for the API instead of the public ones.")
    allow_http: bool = Field(default=False, description="Allow plain http:// to an API that is not on this machine.")
    enqueue_key: SecretStr = Field(
        default=SecretStr(""),
        description="Fernet key that opens messages which producers enqueue through the broker alone; empty: none may.",
    )
    web_users: SecretStr = Field(
        default=SecretStr(""),
        description="Users of the pages: name:role:hash, separated by semicolons; roles viewer, operator, payments.",
    )
    web_secret: SecretStr = Field(
        default=SecretStr(""), description="Signs the pages' sessions; empty: sessions end when the pages restart."
    )
    region: str = Field(default="", description="Country (ISO 3166) for numbers in national form; empty: E.164 only.")
    normalize_text: bool = Field(
        default=True, description="Send texts in Unicode's composed form (NFC); false: exactly as they were written."
    )
    redact_after: int = Field(
        default=30,
        ge=0,
        le=LONGEST_DAYS,
        description="Days after which `dispatcher prune` takes number and words out of a settled message; 0: never.",
    )
    remove_after: int = Field(
        default=365,
        ge=0,
        le=LONGEST_DAYS,
        description="Days after which it removes a settled message, and its idempotency key with it; 0: never.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least severe log.")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port where a worker or clock gives Prometheus its own numbers; 0: none."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address that this port is opened on.")

    @field_validator("home", mode="before")
    @classmethod
    def _is_a_folder(cls, value: Any) -> Any:
        return default_home() if value == "" else value  # `DISPATCHER_HOME=` is not the current folder

    @field_validator("sms_rate", "gift_rate")
    @classmethod
    def _is_a_rate(cls, value: str) -> str:
        parse_rate(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, value: SecretStr) -> SecretStr:
        parse_redis_url(value.get_secret_value())
        return value

    @field_validator("api_base_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not (value.startswith(("http://", "https://")) and _has_an_address(value)):
            raise ValueError(f"{value!r} is not a URL; write it as https://api.example.com")
        return value.rstrip("/")

    @field_validator("token_path", "sms_path", "gift_path", "probe_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"{value!r} is not a path; it begins with a slash")
        return value

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.lease_seconds < self.http_deadline.total_seconds() + 5:
            channel, longest = max(self.read_timeouts.items(), key=lambda each: each[1])
            raise ValueError(
                f"DISPATCHER_LEASE_SECONDS ({self.lease_seconds:g}) must be 5 s longer than the HTTP deadline, "
                f"DISPATCHER_CONNECT_TIMEOUT + the read timeout of {channel.value} "
                f"({self.connect_timeout:g} + {longest.total_seconds():g}): else a message would be given to another "
                "worker while its request is under way; set it to at least "
                f"{self.http_deadline.total_seconds() + 5:g}, or DISPATCHER_{channel.value.upper()}_READ_TIMEOUT lower"
            )
        if self.redis_client_key and not self.redis_client_cert:
            raise ValueError("DISPATCHER_REDIS_CLIENT_KEY: is set without DISPATCHER_REDIS_CLIENT_CERT; set both")
        if self._redis_files() and not self.redis_address.tls:
            raise ValueError(
                f"{self._redis_files()[0]}: is set, and DISPATCHER_REDIS_URL is not rediss://, so nothing would use it"
            )
        try:
            Ages(redact_days=self.redact_after, remove_days=self.remove_after)
        except ValueError as wrong:
            raise ValueError(f"DISPATCHER_REDACT_AFTER, DISPATCHER_REMOVE_AFTER: {wrong}") from None
        return self

    def given(self) -> dict[str, str]:
        """Return what was set, secrets included, as texts that ``load_settings`` takes."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
            if value is not None
        }

    @property
    def http_deadline(self) -> timedelta:
        """The longest that one call can take: connect and read together, on the channel with the longest."""
        return timedelta(seconds=self.connect_timeout) + max(self.read_timeouts.values())

    @property
    def read_timeouts(self) -> dict[Channel, timedelta]:
        """How long each channel waits for the end of an answer."""
        gift = self.read_timeout if "read_timeout" in self.model_fields_set else GIFT_READ_TIMEOUT
        return {
            Channel.SMS: timedelta(seconds=self.sms_read_timeout or self.read_timeout),
            Channel.GIFT: timedelta(seconds=self.gift_read_timeout or gift),
        }

    @property
    def redis_address(self) -> RedisAddress:
        """Where Redis is."""
        return parse_redis_url(self.redis_url.get_secret_value())

    def _redis_files(self) -> list[str]:
        names = ("redis_ca_bundle", "redis_client_cert", "redis_client_key")
        return [PREFIX + name.upper() for name in names if getattr(self, name)]

    @property
    def ledger(self) -> str:
        """The ledger's URL, secrets included."""
        return self.ledger_url.get_secret_value() or sqlite_url(self.home / "ledger.db")

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """The ceilings of SMS and gifts."""
        return parse_rate(self.sms_rate), parse_rate(self.gift_rate)

    @property
    def scope_set(self) -> frozenset[str]:
        """The scopes to ask for."""
        return frozenset(self.scopes.replace(",", " ").split())


def load_settings(**overrides: Any) -> Settings:
    """Read the settings: from arguments, then environment, files that it names, ``.env``, and what ``up`` left.

    :raises SettingsError: one sentence for each setting that is wrong or unknown.
    """
    try:
        unknown = [
            *_unknown_arguments(overrides),
            *_unknown_names(os.environ),
            *(f".env: {each}" for each in _unknown_names(_dotenv())),
        ]
        if unknown:
            raise SettingsError("\n".join(unknown))
        return Settings(**{**_left_by_up(), **_from_dotenv(), **_from_files(), **_from_environment(), **overrides})
    except ValidationError as error:
        raise SettingsError("\n".join(_complaint(dict(each)) for each in error.errors())) from None


def known_names() -> dict[str, str]:
    """Return each environment variable with its line of help, in the order of the source."""
    return {PREFIX + name.upper(): field.description or "" for name, field in Settings.model_fields.items()}


def secret_files() -> dict[str, Path]:
    """Return the files that secrets are read from, by the variable that names each."""
    names = [
        f"{PREFIX}{name.upper()}_FILE" for name, field in Settings.model_fields.items() if field.annotation is SecretStr
    ]
    return {name: Path(os.environ[name]) for name in names if name in os.environ}


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file, whatever its folders are called.

    >>> sqlite_url(Path("/srv/100% new?/ledger.db"))
    'sqlite:////srv/100%25 new%3F/ledger.db'
    """
    return "sqlite:///" + str(file).replace("%", "%25").replace("?", "%3F")


def _dotenv() -> dict[str, str | None]:
    """Return the lines of ``.env``, whose reader is imported only where there is such a file.

    A working folder that this user may not enter has none: a command started with ``sudo -u`` may stand in one.

    :raises SettingsError: the file cannot be read, or is no text.
    """
    try:
        if not _DOTENV.is_file():
            return {}
    except OSError:
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(_DOTENV, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f".env: byte {error.start} is not UTF-8; DISPATCHER_… lines are text") from None
    except OSError as error:
        raise SettingsError(
            f".env: {_DOTENV.absolute()} cannot be read ({error.strerror}); "
            "let this user read it, or run in another folder"
        ) from None


def _unknown_arguments(overrides: Mapping[str, object]) -> list[str]:
    """Complain about arguments that name no setting: pydantic ignores them, and the default would be used."""
    complaints = []
    for name in overrides:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `docs/settings.md` lists them all"
            complaints.append(f"{name}: there is no such setting{hint}")
    return complaints


def _unknown_names(environment: Mapping[str, str | None]) -> list[str]:
    known = known_names()
    complaints = []
    for name in sorted(environment):
        if is_service_link(name, environment[name] or ""):
            continue
        if name.startswith(PREFIX) and name not in known and name.removesuffix("_FILE") not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `docs/settings.md` lists them all"
            complaints.append(f"{name}: there is no such setting{hint}")
    return complaints


def _has_an_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _complaint(error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    name = PREFIX + "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {message}" if error["loc"] else message


def _from_environment() -> dict[str, str]:
    """Return the environment without what Kubernetes sets: ``DISPATCHER_METRICS_PORT`` may come from a Service."""
    return _named({name: value for name, value in os.environ.items() if not is_service_link(name.upper(), value)})


def _from_files() -> dict[str, str]:
    """Read what ``DISPATCHER_CLIENT_SECRET_FILE=/run/secrets/x`` names, as container secrets want.

    :raises SettingsError: a file cannot be read, or is no text.
    """
    found = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}_FILE"
        path = os.environ.get(variable)
        if path is None:
            continue
        try:
            found[name] = Path(path).read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{variable}: {path} is not text in UTF-8") from None
    return found


def _from_dotenv() -> dict[str, str]:
    return _named(_dotenv())


def _left_by_up() -> dict[str, str]:
    """Return what a running ``dispatcher up`` wrote, so that the next terminal needs no settings at all."""
    try:
        return _named(read_embedded(default_home()))
    except SettingsError:  # the field's default reports it, unless a home is given
        return {}


def _named(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return the settings among ``variables``, by their field; names are read in either case, as is usual."""
    values = {name.upper(): value for name, value in variables.items() if value is not None}
    return {name: values[PREFIX + name.upper()] for name in Settings.model_fields if PREFIX + name.upper() in values}


def read_embedded(home: Path) -> dict[str, str]:
    """Return what ``dispatcher up`` wrote under ``home``; nothing once the process that wrote it is gone."""
    try:
        lines = (home / EMBEDDED_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values if _alive(values.pop("PID", "")) else {}


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
