"""The board: processes write, their parent reads; what is gone stays counted, what is now counts for the living."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from dispatcher.domain.message import Channel
from dispatcher.telemetry.board import ROWS, Board
from dispatcher.telemetry.catalogue import CLOCK, WORKER
from dispatcher.telemetry.counting import LAYOUT, CountingMeter
from dispatcher.telemetry.exposition import BoardCollector, PoolCollector, SystemCollector
from tests.telemetry.reading import Numbers, gathered

CLAIMED = "dispatcher_worker_claimed_messages_total"
IN_FLIGHT = "dispatcher_worker_in_flight"
_fork = multiprocessing.get_context("fork")


def read(board: Board) -> Numbers:
    return gathered((PoolCollector(board, concurrency=64), BoardCollector(board, WORKER), SystemCollector(board)))


def meter(board: Board, place: int) -> CountingMeter:
    row = board.take(place)
    assert row is not None
    return CountingMeter(row)


def child(board: Board, place: int, does: Callable[[CountingMeter], None]) -> BaseProcess:
    """Fork a process that does something in its place, and then lives on until it is killed."""

    def run() -> None:
        does(meter(board, place))
        ready.set()
        time.sleep(60)

    ready = _fork.Event()
    process = _fork.Process(target=run, daemon=True)
    process.start()
    assert ready.wait(10)
    return process


def kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)


def carry_five(meter: CountingMeter) -> None:
    meter.claimed(Channel.SMS, 5, 0.02)
    meter.carrying({Channel.SMS: 5, Channel.GIFT: 0})


def test_processes_are_summed() -> None:
    board = Board(LAYOUT.width)
    children = [child(board, place, carry_five) for place in range(2)]
    numbers = read(board)
    assert numbers.of(CLAIMED, channel="sms") == 10
    assert numbers.of("dispatcher_worker_claim_seconds_count", channel="sms") == 2
    assert numbers.of("dispatcher_worker_claim_seconds_sum", channel="sms") == 0.04
    assert numbers.of(IN_FLIGHT, channel="sms") == 10
    assert numbers.of("dispatcher_worker_processes") == 2
    assert numbers.of("dispatcher_worker_slots") == 128
    assert numbers.labels_of("dispatcher_process_resident_memory_bytes", "process") == {"main", "0", "1"}
    for each in children:
        kill(each)
        each.join()


def test_a_process_that_was_killed_leaves_no_gauge_behind_and_stays_counted() -> None:
    board = Board(LAYOUT.width)
    kill_me, lives = child(board, 0, carry_five), child(board, 1, carry_five)
    kill(kill_me)
    os.waitid(os.P_PID, kill_me.pid or 0, os.WEXITED | os.WNOWAIT)  # dead, and nobody has taken note of it yet
    for _ in range(2):
        numbers = read(board)
        assert numbers.of(IN_FLIGHT, channel="sms") == 5
        assert numbers.of(CLAIMED, channel="sms") == 10
        assert numbers.of("dispatcher_worker_processes") == 1
        assert numbers.labels_of("dispatcher_process_open_fds", "process") == {"main", "1"}
        kill_me.join()
    kill(lives)
    lives.join()


def test_who_comes_after_goes_on_counting_and_begins_with_nothing_in_flight() -> None:
    board = Board(LAYOUT.width)
    before = child(board, 0, carry_five)
    kill(before)
    before.join()
    after = child(board, 0, lambda meter: meter.claimed(Channel.SMS, 2, 0.02))
    numbers = read(board)
    assert numbers.of(CLAIMED, channel="sms") == 7
    assert numbers.of(IN_FLIGHT, channel="sms") == 0
    assert numbers.of("dispatcher_worker_process_starts_total") == 2
    assert numbers.of("dispatcher_worker_processes") == 1
    kill(after)
    after.join()


def test_a_process_id_that_somebody_else_was_given_since_is_not_ours() -> None:
    board = Board(LAYOUT.width)
    carry_five(meter(board, 0))
    (row,) = board.rows()
    assert row.alive
    board._row(0)[0] = os.getppid()
    (row,) = board.rows()
    assert not row.alive
    assert read(board).of(IN_FLIGHT, channel="sms") == 0


def test_there_is_no_row_beyond_the_board() -> None:
    board = Board(LAYOUT.width)
    assert board.take(ROWS - 1) is not None
    assert board.take(ROWS) is None
    assert board.take(-1) is None


def test_durations_fall_into_the_buckets_of_prometheus() -> None:
    """A bucket holds what is no longer than its bound, and all that the shorter ones hold."""
    board = Board(LAYOUT.width)
    counting = meter(board, 0)
    for seconds in (0.001, 0.0011, 0.2, 99.0):
        counting.claimed(Channel.SMS, 1, seconds)
    numbers = read(board)
    found = {
        bound: numbers.of("dispatcher_worker_claim_seconds_bucket", channel="sms", le=bound)
        for bound in ("0.001", "0.0025", "0.1", "0.25", "10.0", "+Inf")
    }
    assert found == {"0.001": 1, "0.0025": 2, "0.1": 2, "0.25": 3, "10.0": 3, "+Inf": 4}


def test_no_two_series_share_a_cell() -> None:
    metrics = {metric.name: metric for metric in (*WORKER, *CLOCK)}
    cells = [
        cell
        for name, series in LAYOUT.first.items()
        for first in series.values()
        for cell in range(first, first + metrics[name].cells)
    ]
    assert sorted(cells) == list(range(LAYOUT.width))
