"""The sandbox's command line: from arguments to settings, and back for whoever starts one as a process."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.sandbox.faults import FaultRule, parse_rule
from dispatcher.sandbox.scopes import KNOWN_SCOPES
from dispatcher.sandbox.settings import THROTTLERS, TOKEN_FAULTS, SandboxSettings, SettingRefused

SECRET_VARIABLE = "SANDBOX_CLIENT_SECRET"
SIGNING_KEY_VARIABLE = "SANDBOX_SIGNING_KEY"
_SECRETS = {"client_secret": SECRET_VARIABLE, "signing_key": SIGNING_KEY_VARIABLE}
_FIRST_PORT = 8025
_ABSENT = argparse.SUPPRESS


def parser() -> argparse.ArgumentParser:
    """Every option, each with its default and what it does."""
    made = argparse.ArgumentParser(
        prog="python -m dispatcher.sandbox",
        allow_abbrev=False,
        description="A stand-in for the provider's API, with faults on demand. Prints its base URL when it is ready.",
        epilog=f"The client secret may also come from {SECRET_VARIABLE}, the key that signs tokens from "
        f"{SIGNING_KEY_VARIABLE}. Open the base URL in a browser for the API explorer.",
    )
    default = SandboxSettings()
    for flags, options in (
        ("--host", {"help": f"address to listen on (default {default.host}; control calls ask for no password)"}),
        ("--port", {"type": int, "help": f"port; 0 takes any free one (default {_FIRST_PORT})"}),
        ("--client-id", {"help": f"the client id that gets tokens (default {default.client_id})"}),
        ("--client-secret", {"help": f"its secret (default {default.client_secret}); better in {SECRET_VARIABLE}"}),
        (
            "--journal",
            {"type": Path, "metavar": "FILE", "help": "append the journal to this file, and read it on start"},
        ),
        ("--latency-ms", {"type": float, "help": "how long each call takes (default 0)"}),
        ("--latency-jitter-ms", {"type": float, "help": "up to this much more, at random (default 0)"}),
        ("--rate-limit", {"metavar": "N/s", "help": "calls allowed per s, m or h, such as 50/s (default no limit)"}),
        ("--rate-burst", {"type": int, "help": "calls that may come at once (default one second's worth)"}),
        ("--retry-after-s", {"type": float, "help": "what a 429 says in Retry-After (default the true wait)"}),
        ("--throttled-by", {"choices": THROTTLERS, "help": "who answers 429 (default api; gateway: no Retry-After)"}),
        ("--token-expires-in", {"type": int, "metavar": "S", "help": "token life in seconds (default 3600)"}),
        ("--token-real-expires-in", {"type": int, "metavar": "S", "help": "the true token life, where it differs"}),
        ("--token-latency-ms", {"type": float, "help": "how long a token request takes (default 0)"}),
        ("--token-fault", {"choices": TOKEN_FAULTS, "help": "how token requests fail (default not)"}),
        ("--dead-token-status", {"type": int, "help": "what a dead token is answered: 401 or 403 (default 401)"}),
        ("--granted-scopes", {"help": f"the most that is granted, space-separated (default {' '.join(KNOWN_SCOPES)})"}),
        ("--honour-idempotency-keys", {"action": "store_true", "help": "answer a repeated Idempotency-Key as before"}),
        ("--seed", {"type": int, "help": "begins the random generators (default 0)"}),
    ):
        made.add_argument(flags, default=_ABSENT, **options)
    made.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends, as it does with its parent"
    )
    made.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='a fault rule, such as \'{"path": "/sendSMS", "action": "cut", "probability": 0.01}\'; repeatable',
    )
    return made


@dataclass(frozen=True, slots=True)
class Start:
    """What the arguments and the environment ask for."""

    settings: SandboxSettings
    rules: tuple[FaultRule, ...]
    until_stdin_closes: bool


def parse(argv: Sequence[str] | None, environment: Mapping[str, str]) -> Start:
    """How to start.

    Raises:
        SettingRefused: names what is wrong and says what would be right.
        SystemExit: 2 for an option that is none, 0 for --help.
    """
    given: dict[str, Any] = vars(parser().parse_args(argv))
    rules = tuple(_rule(text) for text in given.pop("fault"))
    if "granted_scopes" in given:
        given["granted_scopes"] = tuple(given["granted_scopes"].split())
    secrets = {field: environment[variable] for field, variable in _SECRETS.items() if environment.get(variable)}
    until_stdin_closes = given.pop("until_stdin_closes")
    settings = SandboxSettings(**{"port": _FIRST_PORT, **secrets, **given})
    return Start(settings, rules, until_stdin_closes)


def arguments(settings: SandboxSettings) -> list[str]:
    """The arguments that give `settings` again, without the secrets, which go by the environment.

    >>> arguments(SandboxSettings(latency_ms=5))
    ['--port=0', '--latency-ms=5']
    """
    default = SandboxSettings()
    made = [f"--port={settings.port}"]
    for field in SandboxSettings.__dataclass_fields__:
        value = getattr(settings, field)
        if field in _SECRETS or field == "port" or value == getattr(default, field):
            continue
        flag = f"--{field.replace('_', '-')}"
        if value is True:
            made.append(flag)
        else:
            made.append(f"{flag}={' '.join(value) if isinstance(value, tuple) else value}")
    return made


def _rule(text: str) -> FaultRule:
    try:
        given = json.loads(text)
    except ValueError:
        raise SettingRefused("--fault", 'wants JSON such as {"path": "/sendSMS", "action": "cut"}') from None
    return parse_rule(given)
