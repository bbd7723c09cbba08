"""Undoes the compression of an answer's body, up to a limit: a few bytes can stand for gigabytes."""

from __future__ import annotations

import zlib

_KINDS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""Window bits of zlib; servers send "deflate" with zlib's frame, as they should, or without."""
_MOST_LAYERS = 2


def decoded(body: bytes, encoding: str | None, *, cap: int) -> tuple[bytes, bool]:
    """Return what a body says, and whether that is all of it.

    It was asked for uncompressed; a body in a form that nobody asked for is kept as it is.

    >>> decoded(b"plain", None, cap=3)
    (b'pla', False)

    :param encoding: the Content-Encoding.
    :param cap: bytes that are returned, or made on the way, at the most.
    """
    layers = [layer for each in (encoding or "").lower().split(",") if (layer := each.strip()) not in ("", "identity")]
    if len(layers) > _MOST_LAYERS or not all(layer in _KINDS for layer in layers):
        return body[:cap], len(body) <= cap
    complete = True
    for layer in reversed(layers):
        body, whole = _inflated(body, _KINDS[layer], cap)
        complete = complete and whole
    return body[:cap], complete and len(body) <= cap


def _inflated(body: bytes, kinds: tuple[int, ...], cap: int) -> tuple[bytes, bool]:
    for bits in kinds:
        unpacking = zlib.decompressobj(bits)
        try:
            found = unpacking.decompress(body, cap + 1)
        except zlib.error:
            continue
        return found, unpacking.eof and len(found) <= cap
    return b"", False
