"""Takes secrets and personal data out of what the API answered, so that the evidence may be kept and shown."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from dispatcher.domain.attempt import Claimed
from dispatcher.ports import Token

HIDDEN, NUMBER, TEXT = "[hidden]", "[number]", "[text]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """What must not come back out of an answer, beside what looks like a credential."""

    recipient: str = field(default="", repr=False)
    """E.164."""
    text: str = field(default="", repr=False)
    """What the person is told: the SMS or the gift's note."""
    secret: str = field(default="", repr=False)
    """The access token."""


NOTHING_PRIVATE = Private()


def private_of(message: Claimed, token: Token) -> Private:
    """Return what an answer to this call must not tell."""
    text = message.body if message.gift is None else message.gift.note
    return Private(recipient=message.recipient, text=text or "", secret=token.value)


def readable(text: str) -> str:
    r"""Take out terminal escapes and control characters, which could act on the screen of whoever reads it.

    >>> readable("\x1b[31mred\x1b[0m\x00 alert\n")
    'red alert\n'
    """
    if text.isprintable():
        return text
    kept = (c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "" for c in _ESCAPES.sub("", text))
    return "".join(kept)


def redact(text: str, private: Private = NOTHING_PRIVATE) -> str:
    """Replace credentials, the recipient's number or digits of it, and the message's own text.

    >>> redact('{"to":"0491 570 006","auth":"Bearer a1b2c3d4e5"}', Private(recipient="+61491570006"))
    '{"to":"[number]","auth":"Bearer [hidden]"}'
    """
    text = _without(text, private.secret, mark=HIDDEN, block=6, least=8)
    if _BASE64.search(text):  # a request that is echoed in base64
        for value, mark in ((private.secret, HIDDEN), (private.text, TEXT), (private.recipient, NUMBER)):
            for form in _in_base64(value):
                text = _without(text, form, mark=mark, block=6, least=8)
    if _ANY_CREDENTIAL.search(text):
        for pattern, replacement in _CREDENTIALS:
            text = pattern.sub(replacement, text)
    if message := readable(private.text).strip():
        text = _without_message(text, message)
    if private.recipient:
        text = _without_number(text, private.recipient.lstrip("+"))
    return text


def tells_whole(text: str, message: str) -> bool:
    """Say whether a text has a message in it as a whole, in whatever form; one of a few letters may be chance."""
    message = " ".join(readable(message).split())
    return len(message) > 8 and any(form in text for form in _forms(message, text))


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]")
_NAMES = r"access_token|refresh_token|id_token|client_secret|client_assertion|api[_-]?key|authorization|password|secret"
_CREDENTIALS = (
    # A word in small letters after "bearer" is prose: "Bearer authentication required" explains the failure.
    (re.compile(r"(?i:\b(bearer|basic))\s+(?![A-Za-z]?[a-z]{1,15}(?![\w.~+/=-]))[\w.~+/=-]{4,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]*){0,4}"), HIDDEN),
    (re.compile(rf'(?i:("(?:{_NAMES}|token)"\s*:\s*))"(?:[^"\\]|\\.)*+(?:"|$)'), rf'\1"{HIDDEN}"'),
    (re.compile(rf"(?i:\b({_NAMES})(\s*=\s*))[^\s,;&\"'<>]+"), rf"\1\2{HIDDEN}"),
)
_ANY_CREDENTIAL = re.compile(r"bearer|basic|eyj|token|secret|assertion|key|authorization|password", re.IGNORECASE)
"""Something that every one of them begins with or has in it: most answers have none, and are looked through once."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]{12}|[A-Za-z0-9_-]{40}")
_DIGITS = re.compile(r"\d")
_RUN_OF_DIGITS = re.compile(r"\+?\(?\d(?:[\s().\-/]{0,2}\d){3,}")


def _without(text: str, private: str, *, mark: str, block: int, least: int) -> str:
    """Replace every passage of at least ``least`` characters that is shared with ``private``.

    A shared passage of 2 * block - 1 characters always holds one of the text's aligned blocks, so looking for those
    is enough, and costs next to nothing when nothing is shared.
    """
    kept, done, at = [], 0, 0
    while at + block <= len(text):
        found = private.find(text[at : at + block])
        if found < 0:
            at += block
            continue
        start, before = at, found
        while start > done and before > 0 and text[start - 1] == private[before - 1]:
            start, before = start - 1, before - 1
        at, after = at + block, found + block
        while at < len(text) and after < len(private) and text[at] == private[after]:
            at, after = at + 1, after + 1
        if at - start >= least:
            kept += [text[done:start], mark]
            done = at
    return "".join([*kept, text[done:]])


def _without_message(text: str, message: str) -> str:
    for form in _forms(message, text):
        # A very short one only where it stands alone: else every "a" of the answer would vanish with the message "a".
        text = text.replace(form, TEXT) if len(form) > 3 else re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", TEXT, text)
        text = _without(text, form, mark=TEXT, block=8, least=12)
    for code in re.findall(r"\d{5,}", message):  # one-time codes
        text = text.replace(code, TEXT)
    return text


def _in_base64(value: str) -> Iterator[str]:
    """Yield a value as it stands in base64 of what contains it: at each of three places, in both alphabets."""
    encoded = value.encode("utf-8", "surrogatepass")
    for before in range(3):
        whole = b64encode(b"\0" * before + encoded).decode()
        # The first and the last characters depend on the value's neighbours too.
        form = whole[(before * 8 + 5) // 6 : (before + len(encoded)) * 8 // 6]
        yield form
        if "+" in form or "/" in form:
            yield form.replace("+", "-").replace("/", "_")


def _forms(message: str, text: str) -> Iterator[str]:
    """Yield the message as it may stand in the text: as it is, in JSON, in HTML, in a URL."""
    yield message
    if "\\" in text:
        yield json.dumps(message, ensure_ascii=False)[1:-1]
    if "&" in text:
        yield html.escape(message)
    if "%" in text or "+" in text:
        yield from (quote(message), quote_plus(message))


def _without_number(text: str, number: str) -> str:
    """Replace runs of digits, however grouped, that share six digits with the number or are its last four or more."""

    def masked(run: re.Match[str]) -> str:
        digits = "".join(_DIGITS.findall(run[0]))
        shared = any(number[i : i + 6] in digits for i in range(len(number) - 5))
        return NUMBER if shared or number.endswith(digits) else run[0]

    return _RUN_OF_DIGITS.sub(masked, text)
