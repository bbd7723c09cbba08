"""The gift call. The public documentation gives neither path nor body: both are an assumption, kept in this module."""

from __future__ import annotations

from datetime import timedelta

import orjson

from dispatcher.domain.attempt import Claimed
from dispatcher.gateway.endpoints import Endpoint


def gift_endpoint(path: str, *, read_timeout: timedelta | None = None) -> Endpoint:
    """Return how a gift is sent. Its connections rest less than those of SMS, for doubt costs more with money.

    :param path: under the base URL, e.g. ``/gifting/send``.
    """
    return Endpoint(
        path=path, scope="gifting:send", max_idle=timedelta(seconds=2), body=gift_body, read_timeout=read_timeout
    )


def gift_body(message: Claimed) -> bytes:
    """Return the JSON of a gift; the amount is exact decimal text, since a JSON number may be read as binary.

    :raises ValueError: the message holds no gift.
    """
    gift = message.gift
    if gift is None:
        raise ValueError("a gift needs its sku, amount and currency")
    return orjson.dumps(
        {
            "recipient": message.recipient,
            "sku": gift.sku,
            "amount": format(gift.amount, "f"),
            "currency": gift.currency,
            "note": gift.note,
        }
    )
