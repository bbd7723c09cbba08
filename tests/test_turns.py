"""The lock of tests that run alone: shared by the others, and not starved by them."""

from __future__ import annotations

import fcntl
import threading
from uuid import uuid4

from tests.turns import Turns


def test_a_test_that_runs_alone_waits_for_the_others_and_is_not_overtaken() -> None:
    run, order = str(uuid4()), []
    first, alone, late = (Turns(run) for _ in range(3))
    leave = threading.Event()

    def turn(turns: Turns, kind: int, name: str, until: threading.Event | None = None) -> threading.Thread:
        def hold() -> None:
            with turns._turn(kind):
                order.append(name)
                if until is not None:
                    until.wait(5)
                order.append(f"{name} ends")

        thread = threading.Thread(target=hold)
        thread.start()
        thread.join(0.1)
        return thread

    threads = [
        turn(first, fcntl.LOCK_SH, "first", leave),
        turn(alone, fcntl.LOCK_EX, "alone"),
        turn(late, fcntl.LOCK_SH, "late"),
    ]
    assert order == ["first"]
    leave.set()
    for thread in threads:
        thread.join(5)
    assert order == ["first", "first ends", "alone", "alone ends", "late", "late ends"]
    first.pytest_unconfigure()


def test_tests_that_need_not_run_alone_run_at_once() -> None:
    run = str(uuid4())
    one, other = Turns(run), Turns(run)
    with one._turn(fcntl.LOCK_SH), other._turn(fcntl.LOCK_SH):
        pass
    one.pytest_unconfigure()
