"""The SMS call: ``POST /sendSMS`` with the scope ``write``, as the API's public documentation gives it."""

from __future__ import annotations

from datetime import timedelta

import orjson

from dispatcher.domain.attempt import Claimed
from dispatcher.gateway.endpoints import Endpoint


def sms_endpoint(path: str, *, read_timeout: timedelta | None = None) -> Endpoint:
    """Return how an SMS is sent.

    :param path: under the base URL; the documentation says ``/sendSMS``.
    """
    return Endpoint(path=path, scope="write", max_idle=timedelta(seconds=5), body=sms_body, read_timeout=read_timeout)


def sms_body(message: Claimed) -> bytes:
    """Return the JSON of an SMS.

    :raises ValueError: the message has no text, so it is no SMS.
    """
    if message.body is None:
        raise ValueError("an SMS needs a text")
    return orjson.dumps({"recipient": message.recipient, "message": message.body})
