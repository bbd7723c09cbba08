"""Minting: the one HTTP call that asks the API for a token (RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
import queue
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dispatcher.oauth.answer import LONGEST_BODY, Answer, read_answer
from dispatcher.oauth.token import Credentials, FailureKind, Minted, MintFailed

if TYPE_CHECKING:
    from dispatcher.oauth.line import Line

DEADLINE = timedelta(seconds=10)
_CONNECT_TIMEOUT = 5.0
_CHUNK = 8192


class Mint:
    """Asks for a token and returns what came of it: a token or a failure, never an exception, never late.

    The timeouts of requests run anew with every byte that drips in, and do not count the name's look-up at all.
    So the call runs in a thread of its own, which loses its connection and is left behind at the deadline.
    """

    def __init__(
        self, *, credentials: Credentials, proxy: str = "", ca_bundle: str = "", deadline: timedelta = DEADLINE
    ) -> None:
        self._credentials = credentials
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._verify: bool | str = ca_bundle or True
        self.deadline = deadline

    def __call__(self) -> Minted | MintFailed:
        """Make one token call."""
        from dispatcher.oauth.line import Line  # many processes look at the token and never mint one

        line = Line()
        results: queue.SimpleQueue[Minted | MintFailed] = queue.SimpleQueue()
        call = threading.Thread(target=lambda: results.put(self._called(line)), name="dispatcher-mint", daemon=True)
        seconds = self.deadline.total_seconds()
        try:
            call.start()
            return results.get(timeout=seconds)
        except queue.Empty:
            return _transient(f"the token call was not answered in full within {seconds:g} s; it is tried again")
        except RuntimeError:
            return _transient("this process could not start a thread for the token call; it is tried again")
        finally:
            line.cut()

    def _called(self, line: Line) -> Minted | MintFailed:
        try:
            return read_answer(self._answered(line), self._credentials)
        except Exception as error:  # whatever goes wrong, its text and its request may hold the secret
            return _failed(error)

    def _answered(self, line: Line) -> Answer:
        import requests

        started = time.monotonic()
        seconds = self.deadline.total_seconds()
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", line)
            session.mount("https://", line)
            with session.post(
                self._credentials.token_url,
                data=self._form(),
                headers=self._headers(),
                allow_redirects=False,
                stream=True,
                timeout=(min(_CONNECT_TIMEOUT, seconds), seconds),
                verify=self._verify,
                proxies=self._proxies,
            ) as response:
                body = bytearray()
                for chunk in response.iter_content(_CHUNK):
                    body += chunk
                    if len(body) > LONGEST_BODY:
                        break
                return Answer(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=bytes(body[: LONGEST_BODY + 1]),
                    taken=timedelta(seconds=time.monotonic() - started),
                    received_at=datetime.now(UTC),
                )

    def _form(self) -> dict[str, str]:
        form = {"grant_type": "client_credentials"}
        if self._credentials.scopes:
            form["scope"] = " ".join(sorted(self._credentials.scopes))
        return form

    def _headers(self) -> dict[str, str]:
        pair = f"{self._credentials.client_id}:{self._credentials.client_secret}".encode()
        return {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Basic {base64.b64encode(pair).decode()}",
            "Connection": "close",
        }


def _failed(error: Exception) -> MintFailed:
    """Tell the operator what stopped the call, by the kind of exception only."""
    import requests

    if any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error)):
        return _configuration(
            "the API's certificate is not trusted; check DISPATCHER_API_BASE_URL and DISPATCHER_CA_BUNDLE"
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return _transient("the proxy did not let the token call through; check DISPATCHER_PROXY; it is tried again")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return _transient("the API could not be connected to in time for a token; it is tried again")
    if isinstance(error, requests.exceptions.Timeout):
        return _transient("the token call was not answered in time; it is tried again")
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return _transient(f"the token call's connection failed ({_innermost(error)}); it is tried again")
    if isinstance(error, ValueError | OSError) and not isinstance(error, requests.exceptions.ContentDecodingError):
        return _configuration(
            f"the token call could not be made ({type(error).__name__}); check DISPATCHER_API_BASE_URL, "
            "DISPATCHER_TOKEN_PATH, DISPATCHER_PROXY and DISPATCHER_CA_BUNDLE"
        )
    return _transient(f"the token call failed ({type(error).__name__}); it is tried again")


def _transient(reason: str) -> MintFailed:
    return MintFailed(kind=FailureKind.TRANSIENT, reason=reason)


def _configuration(reason: str) -> MintFailed:
    return MintFailed(kind=FailureKind.CONFIGURATION, reason=reason)


def _innermost(error: Exception) -> str:
    return type(_causes(error)[-1]).__name__


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what lies below it, outermost first; requests and urllib3 also wrap in args and reason."""
    found: list[BaseException] = []
    below: list[object] = [error]
    while below and len(found) < 20:
        each = below.pop(0)
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            below += [getattr(each, "reason", None), *each.args, each.__cause__, each.__context__]
    return found
