"""The lock of tests that run alone: shared by the others, and not starved by them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tests.turns import Turns


class Item:
    """A test, as far as its turn depends on it."""

    def __init__(self, *, alone: bool = False) -> None:
        self.get_closest_marker = lambda name: SimpleNamespace() if alone and name == "alone" else None


@contextmanager
def running(turns: Turns, item: Item, then: Item | None = None) -> Iterator[None]:
    """Run a test for as long as the block takes."""
    protocol: Any = turns.pytest_runtest_protocol(item, then)  # type: ignore[arg-type]
    next(protocol)
    yield
    with pytest.raises(StopIteration):
        protocol.send(None)


def thread(what: Callable[[], object]) -> threading.Thread:
    started = threading.Thread(target=what)
    started.start()
    started.join(0.1)
    return started


@pytest.fixture
def make_turns() -> Iterator[Callable[[], Turns]]:
    """Return what makes the plugin of one more process of the same run."""
    run = str(uuid4())
    yield lambda: Turns(run)
    Turns(run).pytest_unconfigure()


def test_a_test_that_runs_alone_waits_for_the_others_and_is_not_overtaken(make_turns: Callable[[], Turns]) -> None:
    order: list[str] = []
    leave = threading.Event()

    def one(turns: Turns, name: str, *, alone: bool = False, until: threading.Event | None = None) -> threading.Thread:
        def hold() -> None:
            with running(turns, Item(alone=alone)):
                order.append(name)
                if until is not None:
                    until.wait(5)
                order.append(f"{name} ends")

        return thread(hold)

    threads = [
        one(make_turns(), "first", until=leave),
        one(make_turns(), "alone", alone=True),
        one(make_turns(), "late"),
    ]
    assert order == ["first"]
    leave.set()
    for each in threads:
        each.join(5)
    assert order == ["first", "first ends", "alone", "alone ends", "late", "late ends"]


def test_tests_that_need_not_run_alone_run_at_once(make_turns: Callable[[], Turns]) -> None:
    with running(make_turns(), Item()), running(make_turns(), Item()):
        pass


def test_one_that_runs_alone_hands_over_to_the_next_of_its_kind(make_turns: Callable[[], Turns]) -> None:
    mine, others = make_turns(), make_turns()
    entered = threading.Event()

    def wait() -> None:
        with running(others, Item()):
            entered.set()

    last = Item(alone=True)
    with running(mine, Item(alone=True), then=last):
        waiting = thread(wait)
    assert not entered.wait(0.1), "between two of them nobody gets in"
    with running(mine, last, then=Item()):
        assert not entered.wait(0.1)
    waiting.join(5)
    assert entered.is_set()
