"""Failures told alike: without what differs from message to message, so that they can be counted."""

from __future__ import annotations

import re

from dispatcher.domain.outcome import Outcome

LONGEST = 160
_IDENTIFIER = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_TOKEN = re.compile(r"\b(?=\w*\d)\w{6,}\b")
_NUMBER = re.compile(r"\+?\d+(?:[.,:]\d+)*")
_BLANKS = re.compile(r"\s+")


def normalised(text: str) -> str:
    """Return a text with ids, quoted values and numbers taken out of it.

    >>> normalised("recipient '+61•••06' is blocked since 2026-11-24 (ref 7f3a9c21)")
    'recipient … is blocked since #-#-# (ref #)'
    """
    text = _IDENTIFIER.sub("#", text)
    text = _QUOTED.sub("…", text)
    text = _TOKEN.sub("#", text)
    text = _NUMBER.sub("#", text)
    return _BLANKS.sub(" ", text).strip()[:LONGEST]


def failure_of(outcome: Outcome) -> str:
    """Return the reason of an outcome that was none: its error code, and what the API said, told alike.

    >>> from dispatcher.domain.outcome import OutcomeKind
    >>> failure_of(Outcome(kind=OutcomeKind.REJECTED, error="QUOTA", error_description="limit of 500 reached"))
    'QUOTA: limit of # reached'
    """
    said = normalised(outcome.error_description or "")
    if outcome.error and said:
        return f"{outcome.error}: {said}"[:LONGEST]
    return outcome.error or said or outcome.kind.value.replace("_", " ")
