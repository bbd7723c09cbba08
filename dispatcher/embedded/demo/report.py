"""What the demo ends with: both books side by side, what holds, what is left for a person, and where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.embedded.demo.run import Code, Result
from dispatcher.embedded.reconcile import Account, Balance, Check

_MOST_PROBLEMS = 8
_NAMES = {Channel.SMS: ("SMS", "SMS"), Channel.GIFT: ("gift", "gifts")}


def report(result: Result, *, home: Path) -> RenderableType:
    """Draw the end of a run; it fits on one screen of 80 × 24."""
    balance = result.balance
    sms, gifts = balance.sides[Channel.SMS], balance.sides[Channel.GIFT]
    title = Text(" The books balance. ", style="bold green")
    if not balance.holds:
        title = Text(" The books do NOT balance. ", style="bold red")
    title.append(f"{sms.total:,} SMS and {gifts.total} gifts in {result.took_s:.0f} s.", style="default not bold")
    parts: list[RenderableType] = [title, _books(balance), Text(), *_checks(balance)]
    parts += [Text(f" {sentence}") for sentence in (_weather(result), *_codes(result), *_money(balance))]
    left = balance.in_doubt + balance.dead
    if left:
        parts += [Text(), Text(" Left for a person, with one of each kind:", style="dim"), _left(left)]
    return Group(*parts, Text(), _look_further(home, balance))


def as_json(result: Result, *, home: Path, seed: int) -> dict[str, Any]:
    """Return the end of a run for programs."""
    balance = result.balance
    return {
        "balances": balance.holds,
        "problems": [problem.text for problem in balance.problems],
        "seconds": round(result.took_s, 1),
        "seed": seed,
        "home": str(home),
        "ledger": {channel.value: _states(side.states) for channel, side in balance.sides.items()},
        "carried_out": {channel.value: side.carried_out for channel, side in balance.sides.items()},
        "sms_repeated": [_account(account) for account in balance.repeated],
        "in_doubt": [_account(account) for account in balance.in_doubt],
        "dead": [_account(account) for account in balance.dead],
        "money_in_doubt": {currency: str(amount) for currency, amount in balance.money_in_doubt.items()},
        "transactional_waited_s": [round(code.waited.total_seconds(), 3) for code in result.codes],
        "transactional_went_after_s": [round(code.went.total_seconds(), 3) for code in result.codes],
        "answers": result.by_status,
        "tokens": result.tokens,
    }


def _books(balance: Balance) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=6)
    grid.add_column(min_width=36)
    grid.add_column()
    grid.add_row("", Text("in the ledger", style="dim"), Text("carried out by the API", style="dim"))
    for channel, side in balance.sides.items():
        name = _NAMES[channel][1]
        done = _states(side.reached) | ({"again": side.again} if side.again else {})
        grid.add_row(
            f" {name[0].upper()}{name[1:]}", _sum(side.total, _states(side.states)), _sum(side.carried_out, done)
        )
    return grid


def _sum(total: int, parts: dict[str, int]) -> str:
    words = [f"{count:,} {name.replace('_', ' ')}" for name, count in parts.items()]
    return f"{total:,} = {' + '.join(words)}" if words else f"{total:,}"


def _states(counts: Counter[State]) -> dict[str, int]:
    return {state.value: counts[state] for state in State if counts[state]}


def _checks(balance: Balance) -> Iterator[Text]:
    repeats = balance.sides[Channel.SMS].again
    for check in Check:
        wrong = [problem for problem in balance.problems if problem.check is check]
        text = Text(" ✗ NOT: " if wrong else " ✓ ", style="red" if wrong else "green")
        text.append(str(check.value), style="default")
        if check is Check.REPEATS_MARKED and not wrong:
            text.append(f" ({repeats})", style="default")
        yield text
    for problem in balance.problems[:_MOST_PROBLEMS]:
        yield Text(f"   {problem.text}", style="red")
    if len(balance.problems) > _MOST_PROBLEMS:
        yield Text(f"   and {len(balance.problems) - _MOST_PROBLEMS:,} more", style="red")


def _weather(result: Result) -> str:
    answers = result.by_status
    failed = sum(count for status, count in answers.items() if status.startswith("5"))
    return (
        f"The API said 429 {answers.get('429', 0)} ×, 5xx {failed} ×, 401 {answers.get('401', 0)} × and nothing "
        f"{answers.get('none', 0)} ×; it gave {result.tokens} {'token' if result.tokens == 1 else 'tokens'}."
    )


def _codes(result: Result) -> Iterator[str]:
    turns = [_turn(code) for code in result.codes]
    if turns:
        yield f"One-time codes amid the burst waited {' and '.join(turns)}."


def _turn(code: Code) -> str:
    words = f"{code.waited.total_seconds():.2f} s"
    return words if code.first is None else f"{words} (then a {code.first}: {code.went.total_seconds():.2f} s)"


def _money(balance: Balance) -> Iterator[str]:
    gifts = [account for account in balance.in_doubt if account.message.channel is Channel.GIFT]
    if gifts:
        sums = ", ".join(f"{amount} {currency}" for currency, amount in sorted(balance.money_in_doubt.items()))
        done = sum(account.carried_out for account in gifts)
        yield f"In doubt: {sums}; the API did carry out {done} of these {len(gifts)} gifts."


def _left(accounts: Sequence[Account]) -> Table:
    groups: dict[tuple[Channel, State, str], list[Account]] = {}
    for account in accounts:
        groups.setdefault((account.message.channel, account.message.state, _reason(account)), []).append(account)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=21)
    grid.add_column(no_wrap=True, min_width=36)
    for (channel, state, reason), members in groups.items():
        style = "magenta" if state is State.IN_DOUBT else "red"
        count = f" {len(members)} {_NAMES[channel][len(members) > 1]}"
        grid.add_row(count, Text(state.value.replace("_", " "), style=style), reason, str(members[0].message.id))
    return grid


def _reason(account: Account) -> str:
    last = account.calls[-1] if account.calls else None
    if last is None:
        return account.why
    words = [str(last.http_status) if last.http_status else "", (last.error or "").replace("_", " ")]
    return " ".join(filter(None, words))


def _look_further(home: Path, balance: Balance) -> Padding:
    commands = []
    if balance.in_doubt:
        commands.append("dispatcher in-doubt list")
    if balance.dead:
        commands.append("dispatcher dead list")
    commands.append("dispatcher messages show ID")
    text = Text("Look further: ", style="dim")
    text.append(f"export DISPATCHER_HOME={home}\n", style="bold")
    text.append(" · ".join(commands), style="bold")
    return Padding(text, (0, 0, 0, 1), expand=False)


def _account(account: Account) -> dict[str, Any]:
    message = account.message
    return {
        "id": str(message.id),
        "channel": message.channel.value,
        "state": message.state.value,
        "carried_out": account.carried_out,
        "marked_as_possible_duplicate": account.marked,
        "why": account.why,
    }
