"""Files that somebody uploaded, between their report and their intake."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from dispatcher.private_files import make_folder

KEPT_S = 24 * 3600
"""How long an upload waits for somebody to confirm it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Keeps them. Nobody else on this machine can read them."""

    folder: Path

    def keep(self, file: BinaryIO) -> str:
        """Copy a file in and return its id; what nobody confirmed in a day goes."""
        make_folder(self.folder)
        for old in self.folder.glob("*.csv"):
            with suppress(FileNotFoundError):  # somebody else who uploads now was faster
                if time.time() - old.stat().st_mtime > KEPT_S:
                    old.unlink()
        id_ = secrets.token_hex(16)
        path = self.folder / f"{id_}.csv"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as kept:
                shutil.copyfileobj(file, kept, 1024 * 1024)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return id_

    def find(self, id: str) -> Path | None:
        """Return where an upload is; None if it is gone, or if that is no id."""
        path = self.folder / f"{id}.csv"
        return path if re.fullmatch(r"[0-9a-f]{32}", id) and path.is_file() else None


def own_name(filename: str) -> str:
    r"""Return a file's own name, fit to be one here.

    >>> own_name("C:\\lists\\spring.csv"), own_name("../../etc/passwd"), own_name("..")
    ('spring.csv', 'passwd', 'recipients.csv')
    """
    name = "".join(each if each.isprintable() else "_" for each in re.split(r"[/\\]", filename)[-1])[-60:]
    return "recipients.csv" if name in ("", ".", "..") else name


@contextmanager
def under_its_name(upload: Path, source: str) -> Iterator[Path]:
    """Give the upload the name that its owner knows: the ledger keeps it, and so does the audit."""
    with TemporaryDirectory() as folder:
        link = Path(folder) / source
        link.symlink_to(upload.absolute())
        yield link
