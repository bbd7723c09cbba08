"""Write `settings.md` and `commands.md` from the code; with `--check` only say whether they are as the code is."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from dispatcher.cli.app import app
from dispatcher.cli.exits import Exit
from dispatcher.installation import EXTRAS, extra_of
from dispatcher.settings import PREFIX, Settings

FOLDER = Path(__file__).parent
HEAD = "<!-- Made by `python docs/generate.py`: change the code or that script, not this page. -->\n"

SETTINGS_START = """# Settings

Each setting is an environment variable. It is read from the first of these places that has it:

1. an argument of `Dispatcher.from_env(…)`, by its lower-case name without the prefix;
2. the environment: `DISPATCHER_SMS_RATE=50/s`;
3. a file whose name is in the environment: `DISPATCHER_CLIENT_SECRET_FILE=/run/secrets/client_secret`. Any setting can
   be given so; blanks around the content do not count;
4. a file `.env` in the working folder;
5. what a running `dispatcher up` of the same user left under `DISPATCHER_HOME`;
6. the default.

A variable that begins with `DISPATCHER_` and is none of these stops the program: it is most likely misspelt. In `.env`
unknown names are passed over, and names that end in `_FILE` are not read. Secrets never show in logs or in `repr`.

`DISPATCHER_LEASE_SECONDS` must be at least 5 more than `DISPATCHER_CONNECT_TIMEOUT` and `DISPATCHER_READ_TIMEOUT`
together: otherwise a message could be given to another worker while its request is under way.

A rate is `N/s`, `N/m` or `N/h`, with or without ` burst N`: so many may leave at once after a rest. Without it the
burst is a tenth of a second's worth, at least one.

"""
COMMANDS_START = """# Commands

Every command answers to `--help`. Those with `--json` print one JSON document instead of text; in it durations are in
seconds (`…_s`) and moments in UTC. Numbers and texts are masked unless `--reveal` is given.

`--home FOLDER` before a command does what `DISPATCHER_HOME` does. `dispatcher --version` says the version.

## Exit codes

| code | meaning |
|---|---|
"""
EXITS = {
    Exit.DONE: "done",
    Exit.FAILED: "failed: the ledger, Redis or the API could not do it, or what was asked came out badly",
    Exit.USAGE: "usage: an option, a setting or a field of a message is wrong; nothing was done",
    Exit.NOTHING_MATCHED: "nothing matched: no such message, or an empty list",
    Exit.REFUSED: "refused: the state of things does not allow it, or it wants a plainer word such as `--yes`",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
}
SPECIAL_EXITS = {
    "demo": {Exit.FAILED: "the books do not balance", Exit.REFUSED: "another stack uses the same folder"},
    "up": {Exit.FAILED: "a part of it ended by itself", Exit.REFUSED: "another stack uses the same folder"},
    "check": {Exit.FAILED: "at least one fault"},
    "sms": {
        Exit.FAILED: "not accepted in time (with `--wait`), or the ledger cannot be used",
        Exit.REFUSED: "the key belongs to other content",
    },
    "gift": {
        Exit.FAILED: "not accepted in time (with `--wait`), or the ledger cannot be used",
        Exit.REFUSED: "the key belongs to other content",
    },
    "status": {},
    "messages list": {Exit.NOTHING_MATCHED: "no message matches"},
    "messages show": {Exit.NOTHING_MATCHED: "no such message"},
    "messages cancel": {Exit.NOTHING_MATCHED: "no such message", Exit.REFUSED: "it is not queued any more"},
    "dead list": {Exit.NOTHING_MATCHED: "no message was given up"},
    "dead groups": {Exit.NOTHING_MATCHED: "no message was given up"},
    "dead discard": {
        Exit.NOTHING_MATCHED: "nothing that matches was given up",
        Exit.REFUSED: "what matches may not be put away, or several would be and nobody said `--yes`",
    },
    "operations list": {Exit.NOTHING_MATCHED: "there has been none"},
    "operations show": {Exit.NOTHING_MATCHED: "no such operation"},
    "operations pause": {Exit.NOTHING_MATCHED: "no such operation", Exit.REFUSED: "it does not run"},
    "operations resume": {Exit.NOTHING_MATCHED: "no such operation", Exit.REFUSED: "it is not paused"},
    "operations abort": {Exit.NOTHING_MATCHED: "no such operation", Exit.REFUSED: "it is over"},
    "spool list": {Exit.NOTHING_MATCHED: "nothing is in quarantine"},
    "spool retry": {
        Exit.NOTHING_MATCHED: "nothing is in quarantine",
        Exit.REFUSED: "the ledger did not take all of it",
    },
    "audit": {Exit.NOTHING_MATCHED: "nobody did anything, or nothing to this subject"},
    "dead show": {Exit.NOTHING_MATCHED: "no such message"},
    "dead edit": {
        Exit.NOTHING_MATCHED: "no such message",
        Exit.USAGE: "what it is to be is wrong",
        Exit.REFUSED: "it may not be sent again",
    },
    "dead replay": {
        Exit.NOTHING_MATCHED: "nothing to replay, or a named message does not exist",
        Exit.REFUSED: "a named message may not be replayed, or several would be and nobody said `--yes`",
    },
    "in-doubt list": {Exit.NOTHING_MATCHED: "nothing is in doubt"},
    "in-doubt resolve": {Exit.NOTHING_MATCHED: "no such message", Exit.REFUSED: "it is not in doubt"},
    "campaign create": {
        Exit.FAILED: "the ledger cannot be used; what was loaded stays, and the same command goes on",
        Exit.USAGE: "the file, the template, the window or another part is wrong; nothing was loaded",
        Exit.REFUSED: "the name belongs to another campaign, or another process is loading it",
    },
    "campaign dry-run": {Exit.USAGE: "the file, the template, the window or another part is wrong"},
    "campaign list": {Exit.NOTHING_MATCHED: "no campaign matches"},
    "campaign show": {Exit.NOTHING_MATCHED: "no such campaign"},
    "campaign start": {Exit.NOTHING_MATCHED: "no such campaign", Exit.REFUSED: "it is not loaded yet, or was started"},
    "campaign pause": {Exit.NOTHING_MATCHED: "no such campaign", Exit.REFUSED: "it neither runs nor is scheduled"},
    "campaign resume": {Exit.NOTHING_MATCHED: "no such campaign", Exit.REFUSED: "it is not paused"},
    "campaign cancel": {
        Exit.NOTHING_MATCHED: "no such campaign",
        Exit.REFUSED: "it is over, or recipients wait and nobody said `--yes`",
    },
    "campaign retry-failed": {
        Exit.NOTHING_MATCHED: "no such campaign, or nothing of it is dead or expired",
        Exit.REFUSED: "it was cancelled or never started, or nobody said `--yes`",
    },
    "campaign export": {Exit.NOTHING_MATCHED: "no such campaign"},
    "suppress add": {},
    "suppress remove": {Exit.NOTHING_MATCHED: "none of them had opted out"},
    "suppress import": {Exit.USAGE: "the file is wrong; nothing was noted"},
    "suppress export": {},
    "suppress list": {Exit.NOTHING_MATCHED: "nobody opted out"},
    "channel pause": {},
    "channel resume": {},
    "worker": {
        Exit.FAILED: "the ledger cannot be used or is at another revision",
        Exit.USAGE: "the API's address or credentials are missing, or the port for metrics is taken",
    },
    "clock": {
        Exit.FAILED: "the ledger cannot be used or is at another revision",
        Exit.USAGE: "the port for metrics is taken",
    },
    "web": {
        Exit.FAILED: "the ledger cannot be used or is at another revision",
        Exit.USAGE: "nobody may sign in and the address is open to others, or the port is taken",
    },
    "prune": {
        Exit.FAILED: "the ledger cannot be used; what was done stays done, and the next run goes on",
        Exit.NOTHING_MATCHED: "nothing is old enough",
        Exit.REFUSED: "nobody said `--yes`",
    },
    "migrate": {Exit.REFUSED: "`--to base` without `--yes`"},
    "token": {Exit.FAILED: "no token can be had now"},
    "sandbox": {Exit.USAGE: "an option is wrong, or the port is taken"},
}
"""What an exit code means for one command, beyond the general table. A command that is not here stops the script."""


def pages() -> dict[str, str]:
    """Return each generated page by its file name."""
    return {"settings.md": HEAD + SETTINGS_START + _settings(), "commands.md": HEAD + COMMANDS_START + _commands()}


def _settings() -> str:
    lines = ["| name | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{PREFIX}{name.upper()}` | {_default(name)} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _default(name: str) -> str:
    if name == "home":
        return "`~/.dispatcher`"
    if name == "ledger_url":
        return "`sqlite:///` + `HOME/ledger.db`"
    value = Settings.model_fields[name].default
    if value is PydanticUndefined:
        raise LookupError(f"say above what {name} defaults to")
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    match value:
        case "":
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def _commands() -> str:
    lines = [f"| {code.value} | {meaning} |" for code, meaning in EXITS.items()]
    lines += ["", *_extras()]
    for name, command in leaves():
        lines += ["", *_command(name, command)]
    return "\n".join(lines) + "\n"


def _extras() -> Iterator[str]:
    yield "## Extras"
    yield ""
    yield "`pip install dispatcher` has all other commands. Without its extra a command exits with 1 and names it."
    yield ""
    yield "| extra | needed by | install |"
    yield "|---|---|---|"
    for extra in EXTRAS.values():
        needed_by = ", ".join(f"`{each}`" for each in extra.needed_by)
        yield f"| `{extra.name}` | {needed_by} | `pip install 'dispatcher[{extra.name}]'` |"


def leaves() -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its full name, in the order of `dispatcher --help`."""
    program: Any = typer.main.get_command(app)
    for name in program.list_commands(None):
        command = program.commands[name]
        if hasattr(command, "commands"):
            for verb, below in command.commands.items():
                yield f"{name} {verb}", below
        else:
            yield name, command


def _command(name: str, command: Any) -> Iterator[str]:
    callback = inspect.unwrap(command.callback)
    given = inspect.signature(callback, eval_str=True).parameters
    parameters = [each for each in command.params if each.name in given]
    arguments = [each for each in parameters if not each.opts[0].startswith("-")]
    yield f"## dispatcher {name}"
    yield ""
    yield from _usage(name, arguments, parameters, given)
    yield ""
    yield from _told(callback.__doc__ or "")
    if parameters:
        yield "| option | default | meaning |"
        yield "|---|---|---|"
        for each in sorted(parameters, key=arguments.__contains__, reverse=True):
            default = _parameter_default(given[each.name])
            yield f"| {_spelt(each, given[each.name])} | {default} | {_cell(each.help or '')} |"
        yield ""
    extra = extra_of(f"dispatcher {name}")
    if extra is not None:
        yield f"Needs the extra `{extra.name}`: `pip install 'dispatcher[{extra.name}]'`."
        yield ""
    special = SPECIAL_EXITS[name]
    if special:
        yield "Exit codes: " + "; ".join(f"{code.value} – {meaning}" for code, meaning in special.items()) + "."
    else:
        yield "Exit codes: as above."


def _usage(name: str, arguments: list[Any], parameters: list[Any], given: Any) -> Iterator[str]:
    words = [name, *(_placeholder(each, given[each.name]) + ("…" if each.nargs == -1 else "") for each in arguments)]
    words += [
        f"{each.opts[0]} {_placeholder(each, given[each.name])}"
        for each in parameters
        if each not in arguments and given[each.name].default is inspect.Parameter.empty
    ]
    if len(parameters) > len(words) - 1:
        words.append("[options]")
    yield f"    dispatcher {' '.join(words)}"


def _told(docstring: str) -> Iterator[str]:
    """Turn a docstring into Markdown: paragraphs flow, indented lines become a block of commands."""
    for paragraph in inspect.cleandoc(docstring).split("\n\n"):
        head = [line for line in paragraph.split("\n") if not line.startswith("  ")]
        code = [line.removeprefix("  ") for line in paragraph.split("\n") if line.startswith("  ")]
        if head:
            yield " ".join(head)
            yield ""
        if code:
            yield "```console"
            yield from (f"$ {re.sub(' {2,}', ' ', line)}" for line in code)
            yield "```"
            yield ""


def _spelt(parameter: Any, given: inspect.Parameter) -> str:
    if not parameter.opts[0].startswith("-"):
        return f"`{_cell(_placeholder(parameter, given))}`"
    names = ", ".join(f"`{each}`" for each in parameter.opts)
    return names if _type(given) is bool else f"{names} `{_cell(_placeholder(parameter, given))}`"


def _placeholder(parameter: Any, given: inspect.Parameter) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    kind = _type(given)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(each.value) for each in kind)
    return {int: "N", float: "N", Path: "PATH"}.get(kind, "TEXT")


def _type(given: inspect.Parameter) -> Any:
    """Return what one value of a parameter is: without its annotations, None and list."""
    kind = given.annotation
    while get_origin(kind) in (Annotated, Union, types.UnionType, list):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return kind


def _parameter_default(given: inspect.Parameter) -> str:
    value = given.default
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value is False or value == "":
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them; the exit code is 1 if one lags behind the code."""
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    late = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            late.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and late:
        print(f"{', '.join(late)}: behind the code; run `python docs/generate.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
