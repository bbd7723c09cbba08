"""The end of a demo is one screen, and says what it found."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from rich.console import Console

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.embedded.demo.report import as_json, report
from dispatcher.embedded.demo.run import Code, Result
from dispatcher.embedded.reconcile import Account, Balance, Check, Problem, Side
from tests.embedded.test_reconcile import GIFT, SMS, call

HOME = Path("/home/ada/.dispatcher/demo")


def account(message_id: int, channel: Channel, state: State, error: str) -> Account:
    message = replace(GIFT if channel is Channel.GIFT else SMS, id=UUID(int=message_id), state=state)
    last = replace(call(OutcomeKind.FAILED), http_status=503, error=error)
    return Account(message=message, carried_out=1, calls=(last,))


def result(*problems: Problem) -> Result:
    kinds = ("reset_after_send", "read_timeout", "temporarily_unavailable")
    sms = Counter({State.ACCEPTED: 999, State.DEAD: 3})
    gifts = Counter({State.ACCEPTED: 20, State.IN_DOUBT: 4, State.DEAD: 1})
    return Result(
        balance=Balance(
            sides={
                Channel.SMS: Side(states=sms, reached=Counter({State.ACCEPTED: 999}), carried_out=1008),
                Channel.GIFT: Side(
                    states=gifts, reached=Counter({State.ACCEPTED: 20, State.IN_DOUBT: 3}), carried_out=23
                ),
            },
            repeated=(),
            in_doubt=tuple(account(n, Channel.GIFT, State.IN_DOUBT, kind) for n, kind in enumerate(kinds)),
            dead=tuple(account(n, Channel.SMS, State.DEAD, kind) for n, kind in enumerate(kinds, 3)),
            problems=problems,
        ),
        took_s=27.4,
        codes=(
            Code(id=UUID(int=1), waited=timedelta(seconds=0.05), went=timedelta(seconds=0.05), first=None),
            Code(id=UUID(int=2), waited=timedelta(seconds=0.02), went=timedelta(seconds=1.09), first="429"),
        ),
        by_status={"200": 1000, "429": 3, "503": 20, "none": 14},
        tokens=4,
    )


def drawn(of: Result) -> str:
    paper = Console(width=80, file=io.StringIO(), markup=False, emoji=False, highlight=False)
    paper.print(report(of, home=HOME))
    assert isinstance(paper.file, io.StringIO)
    return paper.file.getvalue()


def test_it_fits_on_a_small_terminal() -> None:
    lines = drawn(result()).splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80


def test_it_adds_up_before_the_readers_eyes() -> None:
    text = drawn(result())
    assert "The books balance. 1,002 SMS and 25 gifts in 27 s." in text
    assert "1,002 = 999 accepted + 3 dead" in text
    assert "1,008 = 999 accepted + 9 again" in text
    assert "23 = 20 accepted + 3 in doubt" in text
    assert "✓ no gift was carried out twice" in text
    assert str(UUID(int=0)) in text
    assert f"export DISPATCHER_HOME={HOME}" in text


def test_what_does_not_hold_is_named() -> None:
    wrong = result(Problem(Check.GIFTS_ONCE, "gift 7 was carried out 2 times"))
    text = drawn(wrong)
    assert "The books do NOT balance." in text
    assert "✗ NOT: no gift was carried out twice" in text
    assert "gift 7 was carried out 2 times" in text
    document = json.loads(json.dumps(as_json(wrong, home=HOME, seed=1)))
    assert document["balances"] is False
    assert document["problems"] == ["gift 7 was carried out 2 times"]
