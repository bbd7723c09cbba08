"""A container as the compose file has it, without Docker: bubblewrap makes its namespaces from what this machine has.

The root file system is read-only and holds an interpreter and the package; only ``/tmp`` and the home can be written.
The process is the first of its PID namespace, runs under the image's user id, which no passwd file names, and has no
capability and no HOME.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy import dockerfile
from tests.deploy.image import Installed

SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed(Installed):
    """An installation whose programs run in a container each."""

    home: Path
    """Stands for the volume: the only folder that outlives a container."""
    shown: Sequence[Path]
    """Paths of this machine that are visible besides the system, read-only."""

    def command(self, words: list[str]) -> list[str]:
        """Return what runs a command in a container."""
        user, group = dockerfile.stages()["dispatcher"].last("USER").split(":")
        root = os.geteuid() == 0
        system = [Path(path) for path in SYSTEM if Path(path).exists()]
        return [
            *("bwrap", "--die-with-parent", "--unshare-pid", "--as-pid-1", "--unshare-ipc"),
            *([] if root else ["--unshare-user", "--uid", user, "--gid", group]),
            *(word for path in system for word in ("--ro-bind", str(path), str(path))),
            *("--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--proc", "/proc"),
            *("--perms", "1777", "--tmpfs", "/tmp"),
            *(word for folder in self._folders for word in ("--perms", "0755", "--dir", str(folder))),
            *(word for path in self.shown for word in ("--ro-bind", str(path), str(path))),
            *("--bind", str(self.home), str(self.home), "--remount-ro", "/", "--chdir", str(self.home)),
            *(["setpriv", "--reuid", user, "--regid", group, "--clear-groups"] if root else []),
            *(["--bounding-set", "-all", "--no-new-privs", "--"] if root else []),
            *Installed.command(self, words),
        ]

    @property
    def _folders(self) -> list[Path]:
        """The parents of the visible paths; bubblewrap would make them for root alone."""
        leading = {parent for path in (self.home, *self.shown) for parent in path.parents}
        return sorted(leading - {Path("/"), Path("/tmp")})

    def start(
        self, command: list[str], variables: Mapping[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a container; signals go to its first process."""
        with log.open("wb") as output:
            return Contained(
                self.command(command),
                env=self._environment(variables),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of the image and of the container, and none of this machine's."""
        own = dockerfile.stages()["dispatcher"].variables
        return {**own, "PATH": "/usr/bin:/bin", **self.variables, **variables}


class Contained(subprocess.Popen[bytes]):
    """The program that made a container. It passes signals to the container's first process."""

    def send_signal(self, sig: int) -> None:
        """Send a signal to the first process."""
        if self.poll() is None:
            os.kill(self.first, sig)

    def kill(self) -> None:
        """End the container."""
        self.send_signal(signal.SIGKILL)

    @property
    def first(self) -> int:
        """The id of the first process as this machine counts."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])


def seal(installed: Installed, home: Path, *shown: Path) -> Sealed:
    """Put an installation into containers that share a home."""
    home.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(home, *map(int, dockerfile.stages()["dispatcher"].last("USER").split(":")))
    interpreters = {Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parents[1]}
    outside = [path for path in interpreters if not path.is_relative_to("/usr")]
    return Sealed(
        programs=installed.programs,
        variables=installed.variables,
        home=home,
        shown=(*outside, *shown),
    )


@cache
def impossible() -> str | None:
    """Return why this machine cannot make containers; None if it can."""
    if shutil.which("bwrap") is None or shutil.which("setpriv") is None:
        return "bwrap or setpriv is not installed (apt-get install bubblewrap util-linux)"
    tried: Any = subprocess.run(
        ["bwrap", "--unshare-pid", "--as-pid-1", "--ro-bind", "/", "/", "true"], capture_output=True, text=True
    )
    return f"this kernel makes no namespaces: {tried.stderr.strip()}" if tried.returncode else None
