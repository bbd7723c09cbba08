"""A caller of the sandbox's API, as simple as can be, and one that looks at the bytes on the wire."""

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

RECIPIENT = "+61400000000"
SMS = {"recipient": RECIPIENT, "message": "hello"}
GIFT = {"recipient": RECIPIENT, "sku": "COFFEE", "amount": "25.00", "currency": "AUD"}
CLIENT = ("sandbox-client", "sandbox-secret")
NO_TIME = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the sandbox at `url` with one token."""

    url: str
    token: str

    def send_sms(self, content: Any = None, **headers: str) -> requests.Response:
        """`POST /sendSMS` with a good body unless one is given."""
        return self.post("/sendSMS", SMS if content is None else content, **headers)

    def send_gift(self, content: Any = None, **headers: str) -> requests.Response:
        """`POST /gifting/send` with a good body unless one is given."""
        return self.post("/gifting/send", GIFT if content is None else content, **headers)

    def post(self, path: str, content: Any, **headers: str) -> requests.Response:
        """A call with the token and a JSON body; `Idempotency_Key=…` gives that header."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(
            self.url + path,
            json=content,
            headers={"Authorization": f"Bearer {self.token}", **given},
            allow_redirects=False,
            timeout=NO_TIME,
        )

    def probe(self) -> requests.Response:
        """`GET /test-oauth2` with the token."""
        return requests.get(
            self.url + "/test-oauth2", headers={"Authorization": f"Bearer {self.token}"}, timeout=NO_TIME
        )

    def wire(self, timeout_s: float = NO_TIME) -> "Wire":
        """A good `POST /sendSMS` on a connection of its own, its answer not yet read."""
        at = urlsplit(self.url)
        body = json.dumps(SMS).encode()
        connection = socket.create_connection((at.hostname, at.port), timeout=timeout_s)
        connection.sendall(
            b"POST /sendSMS HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {self.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return Wire(connection)


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection on which a request was sent."""

    connection: socket.socket

    def read(self) -> bytes:
        """All bytes until an orderly end. Raises TimeoutError where none comes, ConnectionResetError on a reset."""
        with self.connection:
            parts = []
            while part := self.connection.recv(65536):
                parts.append(part)
            return b"".join(parts)


def ask_token(url: str, *, auth: tuple[str, str] | None = CLIENT, **form: str) -> requests.Response:
    """`POST /oauth2/token`; a good grant unless `form` says otherwise."""
    return requests.post(
        url + "/oauth2/token", data={"grant_type": "client_credentials", **form}, auth=auth, timeout=NO_TIME
    )


def get_token(url: str, scope: str = "") -> str:
    """A token, which must be given."""
    answer = ask_token(url, scope=scope)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def error_of(answer: requests.Response) -> tuple[int, str]:
    """The status and the error code of an answer, which must have the documented form."""
    error = answer.json()
    assert set(error) == {"error", "error_description"}
    assert error["error_description"]
    return answer.status_code, error["error"]
