"""Bodies of any size and form, before and after signing in: none is read into memory beyond what its path takes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from dispatcher.web.bodies import MOST_BYTES, MOST_FIELDS
from tests.web.conftest import HASH, Site

CHUNK = b"x" * 64 * 1024
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n'


def chunks(megabytes: int, first: bytes = b"name=") -> Iterator[bytes]:
    yield first
    for _ in range(megabytes * 16):
        yield CHUNK


def send(
    url: str, body: bytes | Iterator[bytes], content_type: str = URLENCODED, cookies: CookieJar | None = None
) -> requests.Response:
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": content_type}
    return requests.post(url, data=body, headers=headers, cookies=cookies, timeout=30, allow_redirects=False)


@pytest.fixture
def cookies(guarded: Site) -> CookieJar:
    guarded.sign_in("mona")
    return guarded.visitor.cookies


@pytest.mark.parametrize("path", ["/sign-in", "/campaigns/create", "/channels/sms/pause", "/operations"])
@pytest.mark.parametrize(("content_type", "first"), [(URLENCODED, b"name="), (MULTIPART, PART)])
def test_a_body_that_is_too_large_is_refused(
    guarded: Site, cookies: CookieJar, path: str, content_type: str, first: bytes
) -> None:
    for body in (first + CHUNK * 5, chunks(1, first)):
        answer = send(guarded.url + path, body, content_type, cookies)
        assert answer.status_code == 413, answer.text
        assert f"{MOST_BYTES:,} bytes" in answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/campaigns/new", "/operations"])
def test_a_form_with_too_many_fields_is_refused(guarded: Site, cookies: CookieJar, path: str) -> None:
    for mark in (b"&", b";"):
        assert send(guarded.url + path, mark.join([b"a"] * (MOST_FIELDS + 1)), cookies=cookies).status_code == 413
    parts = (PART + b"\r\n") * (MOST_FIELDS + 1) + b"--b--\r\n"
    assert send(guarded.url + path, parts, MULTIPART, cookies).status_code == 400


@pytest.mark.parametrize("path", ["/campaigns/new", "/operations", "/sign-out", "/nowhere"])
def test_a_stranger_is_refused_without_a_look_at_the_body(guarded: Site, path: str) -> None:
    assert send(guarded.url + path, chunks(1)).status_code == 401


def test_files_are_taken_where_a_form_has_one_only(guarded: Site) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    assert send(f"{guarded.url}/sign-in", part, MULTIPART).status_code == 400


def test_who_asks_first_is_told_before_anything_is_sent(guarded: Site) -> None:
    address = urlsplit(guarded.url)
    head = (
        f"POST /sign-in HTTP/1.1\r\nHost: {address.netloc}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: {URLENCODED}\r\nContent-Length: 2000000000\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as line:
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.slow
def test_the_memory_of_the_pages_stays_flat(sqlite_ledger: str, valkey: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DISPATCHER_LEDGER_URL": sqlite_ledger,
        "DISPATCHER_REDIS_URL": valkey,
        "DISPATCHER_HOME": str(tmp_path / "home"),
        "DISPATCHER_WEB_USERS": f"mona:payments:{HASH}",
    }
    command = [sys.executable, "-m", "dispatcher", "web", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1].rstrip("/")
        before = peak(process.pid)
        for path in ("/sign-in", "/campaigns/new", "/operations"):
            answer = send(url + path, chunks(100))
            assert answer.status_code in {401, 413}
            assert send(url + path, b"a&" * 2_000_000).status_code in {401, 413}
        after = peak(process.pid)
        process.terminate()
    assert after - before < 40 * 1024, "kB more"


def peak(process: int) -> int:
    """Return the most memory that a process has had, in kB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
