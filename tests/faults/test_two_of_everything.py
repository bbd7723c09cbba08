"""Two of everything at the same moment: clocks, sweeps, replays, intakes, bells, keys, settlements, spools.

Nothing may change compared with one. Two that ask for a token at once are in ``tests/oauth/test_fleet.py``.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import Connection, Engine, func, select

from dispatcher import Sms
from dispatcher.broker import CeleryBell, make_ringing_app
from dispatcher.campaigns import Campaigns
from dispatcher.domain.attempt import Claimed
from dispatcher.domain.errors import IdempotencyConflict, TransitionRefused
from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.query import parse_query
from dispatcher.domain.state import CampaignState, State
from dispatcher.engine import Settling, Spool, Tick
from dispatcher.ledger import (
    Books,
    By,
    CampaignBooks,
    Filter,
    InspectionBooks,
    SqlLedger,
    bulk,
    make_engine,
    sql_ledger,
)
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import ATTEMPTS, AUDIT
from dispatcher.testing import ACCEPTED, FakeClock, FixedToken, OpenLimiter, SilentBell
from tests.campaigns.making import campaigns_on, numbers
from tests.making import NUMBER, POLICIES, gift, outcome, settled, sms, wish
from tests.system.conftest import System, system

__all__ = ["system"]

HOUR = timedelta(hours=1)
REFUSED = outcome(OutcomeKind.REJECTED, http_status=400)
QUEUE = "dispatcher:celery:dispatcher.dispatch"


@pytest.fixture
def pair(ledger_url: str) -> Iterator[tuple[Engine, Engine]]:
    """Return two engines on one ledger, as two processes have them."""
    one, other = make_engine(ledger_url), make_engine(ledger_url)
    yield one, other
    one.dispose()
    other.dispose()


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Do things in threads that set off at the same moment; return what each came to, its error if it raised one."""
    together, found = threading.Barrier(len(deeds)), [None] * len(deeds)

    def do(place: int) -> None:
        together.wait()
        try:
            found[place] = deeds[place]()
        except Exception as error:
            found[place] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def all_fine(found: list[Any]) -> None:
    errors = [each for each in found if isinstance(each, Exception)]
    if errors:
        raise errors[0]


def by(clock: FakeClock) -> By:
    return By(actor="olga", reason="test", now=clock.now())


def clock_on(engine: Engine, clock: FakeClock) -> Tick:
    return Tick(
        ledger=SqlLedger.on(engine),
        bell=SilentBell(),
        clock=clock,
        policies=POLICIES,
        worker="clock",
        grace=timedelta(0),
        roll=lambda: 0.5,
    )


def claimed(engine: Engine, clock: FakeClock, *messages: NewMessage) -> list[Claimed]:
    """Enqueue messages and have a worker take them."""
    Books(engine=engine).enqueue(messages, source="test")
    ledger = SqlLedger.on(engine)
    return [each for channel in Channel for each in ledger.claim(wish(clock.now(), channel)).messages]


def dead(engine: Engine, clock: FakeClock, count: int) -> list[UUID]:
    """Make dead letters."""
    letters = claimed(engine, clock, *[sms(clock.now(), f"text {n}") for n in range(count)])
    SqlLedger.on(engine).settle([settled(each, REFUSED, clock.now()) for each in letters])
    clock.advance(timedelta(seconds=1))
    return [each.id for each in letters]


def attempts(engine: Engine) -> Counter[UUID]:
    """Count recorded attempts by their message, having seen that they are numbered without gaps."""
    with reading(engine) as connection:
        found = connection.execute(select(ATTEMPTS.c.message_id, ATTEMPTS.c.number).order_by(ATTEMPTS.c.number)).all()
    by_message: dict[UUID, list[int]] = {}
    for each in found:
        by_message.setdefault(each.message_id, []).append(each.number)
    assert all(each == list(range(1, len(each) + 1)) for each in by_message.values())
    return Counter({message: len(each) for message, each in by_message.items()})


def audited(engine: Engine, action: str) -> Counter[str]:
    with reading(engine) as connection:
        counted = select(AUDIT.c.subject, func.count().label("times")).where(AUDIT.c.action == action)
        return Counter({each.subject: each.times for each in connection.execute(counted.group_by(AUDIT.c.subject))})


def states(engine: Engine) -> Counter[State]:
    return Counter(each.state for each in Books(engine=engine).messages(Filter(), limit=100_000))


def test_two_clocks_that_beat_at_the_same_moment_do_the_work_of_one(
    pair: tuple[Engine, Engine], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "STEP", 7)
    engine = pair[0]
    letters = dead(engine, clock, 60)
    store = InspectionBooks(engine=engine)
    query = parse_query("status:400", now=clock.now())
    operation = store.begin(Deed.REPLAY, query, by(clock), ids=letters, pace=Pace(), budget=3, life=HOUR * 100)
    cards, texts = [gift(clock.now()) for _ in range(30)], [sms(clock.now(), f"lost {n}") for n in range(30)]
    lost = claimed(engine, clock, *cards, *texts)
    brief = [sms(clock.now(), expires_at=clock.now() + timedelta(seconds=5)) for _ in range(30)]
    Books(engine=engine).enqueue(brief, source="test")
    campaigns = campaigns_on(engine, clock)
    campaigns.create(numbers(20), name="later", template="Hi", starts_at=clock.now() + timedelta(minutes=1))
    campaigns.create(numbers(30, first=100), name="never", template="Hi")
    campaigns.start("never")
    campaigns.cancel("never")
    clock.advance(timedelta(minutes=10))
    ticks = [clock_on(each, clock) for each in pair]
    for _ in range(4):
        all_fine(at_once(*(tick.run for tick in ticks)))
        assert [tick._reachable_since is not None for tick in ticks] == [True, True], "no beat failed"
    done = store.operation(operation.id)
    assert (done.state, done.done, done.skipped) == (Stage.DONE, 60, 0)
    assert audited(engine, "replay") == dict.fromkeys(map(str, letters), 1)
    assert attempts(engine) == dict.fromkeys([*letters, *(each.id for each in lost)], 1)
    assert campaigns.books.find("later").state is CampaignState.RUNNING
    assert states(engine) == {
        State.QUEUED: 60 + 30 + 20,
        State.IN_DOUBT: 30,
        State.EXPIRED: 30,
        State.CANCELLED: 30,
    }


def test_two_sweeps_of_the_same_lost_leases_at_once_take_each_back_once(
    pair: tuple[Engine, Engine], clock: FakeClock
) -> None:
    held = claimed(pair[0], clock, *[sms(clock.now()) for _ in range(40)], *[gift(clock.now()) for _ in range(40)])
    clock.advance(HOUR)
    ledgers, ticks = [SqlLedger.on(each) for each in pair], [clock_on(each, clock) for each in pair]
    found = [ledger.lost_leases(now=clock.now(), limit=100) for ledger in ledgers]
    taken = at_once(
        lambda: ledgers[0].settle([ticks[0]._give_up(each) for each in found[0]]),
        lambda: ledgers[1].settle([ticks[1]._give_up(each) for each in reversed(found[1])]),
    )
    all_fine(taken)
    assert sorted([*taken[0], *taken[1]]) == sorted(each.id for each in held), "each by one of them"
    assert attempts(pair[0]) == dict.fromkeys([each.id for each in held], 1)
    assert states(pair[0]) == {State.QUEUED: 40, State.IN_DOUBT: 40}
    assert {each.attempts_made for each in Books(engine=pair[0]).messages(Filter(), limit=100)} == {1}


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_clock_processes_send_what_is_due_once_and_sweep_each_lost_lease_once(system: System) -> None:
    ledger = SqlLedger.on(system.books.engine)
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"lost {n}") for n in range(20))
        now = client.message(system.messages()[0].id).created_at
        lost = ledger.claim(wish(now + timedelta(seconds=5), lease=timedelta(seconds=1))).messages
        assert len(lost) == 20
        system.clock()
        system.clock()
        system.worker()
        later = now + timedelta(seconds=4)
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}", due_at=later) for n in range(100))
        for n in range(20):
            client.send_gift(NUMBER, sku="CARD", amount="10", currency="AUD", idempotency_key=f"order-{n}")
    system.wait_settled(seconds=60)
    system.assert_books_balance()
    assert system.counts() == {State.ACCEPTED: 140}
    assert set(system.carried_out().values()) == {1}
    swept = [[attempt.error for attempt in system.attempts(each.id)] for each in lost]
    assert swept == [["lease_lost", None]] * 20


def test_two_people_who_replay_the_same_dead_letters_replay_each_once(
    pair: tuple[Engine, Engine], clock: FakeClock
) -> None:
    letters = dead(pair[0], clock, 40)

    def replay(engine: Engine, order: list[UUID]) -> int:
        replayed = 0
        for letter in order:
            with suppress(TransitionRefused):
                Books(engine=engine).replay(letter, by(clock), budget=3, life=HOUR)
                replayed += 1
        return replayed

    counts = at_once(lambda: replay(pair[0], letters), lambda: replay(pair[1], letters))
    all_fine(counts)
    assert sum(counts) == 40
    assert audited(pair[0], "replay") == dict.fromkeys(map(str, letters), 1)
    assert {each.max_attempts for each in Books(engine=pair[0]).messages(Filter(), limit=100)} == {4}


@pytest.mark.parametrize("operations", [1, 2])
def test_two_operations_on_the_same_letters_and_two_who_drive_one_change_each_once(
    pair: tuple[Engine, Engine], clock: FakeClock, operations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "STEP", 9)
    letters = dead(pair[0], clock, 80)
    desks = [InspectionBooks(engine=engine) for engine in pair]
    query = parse_query("status:400", now=clock.now())
    begun = [
        store.begin(Deed.REPLAY, query, by(clock), ids=(), pace=Pace(), budget=3, life=HOUR)
        for store in desks[:operations]
    ]
    ids = [begun[0].id, begun[-1].id]

    def drive(store: InspectionBooks, id_: UUID) -> None:
        while store.operation(id_).state is Stage.RUNNING:
            store.step(id_, now=clock.now())

    all_fine(at_once(lambda: drive(desks[0], ids[0]), lambda: drive(desks[1], ids[1])))
    ended = [desks[0].operation(each.id) for each in begun]
    assert sum(each.done for each in ended) == 80
    assert {each.state for each in ended} == {Stage.DONE}
    assert audited(pair[0], "replay") == dict.fromkeys(map(str, letters), 1)
    assert states(pair[0]) == {State.QUEUED: 80}


@pytest.mark.parametrize(
    ("deed", "before", "after"),
    [
        ("start", [], CampaignState.RUNNING),
        ("pause", ["start"], CampaignState.PAUSED),
        ("resume", ["start", "pause"], CampaignState.RUNNING),
        ("cancel", ["start"], CampaignState.CANCELLED),
    ],
)
def test_of_two_who_change_a_campaign_at_once_one_is_told_that_it_was_done(
    pair: tuple[Engine, Engine], clock: FakeClock, deed: str, before: list[str], after: CampaignState
) -> None:
    both = [campaigns_on(engine, clock) for engine in pair]
    for n in range(5):
        both[0].create(numbers(2), name=f"burst {n}", template="Hi")
        for each in before:
            getattr(both[0], each)(f"burst {n}")
        told = at_once(*(lambda each=each, n=n: getattr(each, deed)(f"burst {n}") for each in both))
        assert sorted(type(each).__name__ for each in told) == ["Campaign", "CampaignRefused"]
        campaign = both[0].books.find(f"burst {n}")
        assert campaign.state is after
        assert audited(pair[0], deed)[f"campaign:{campaign.id}"] == 1


def test_of_two_who_enqueue_one_key_at_once_one_makes_the_row(ledger_url: str, clock: FakeClock) -> None:
    engines = [make_engine(ledger_url) for _ in range(6)]
    for n in range(10):
        same = [gift(clock.now(), f"order-{n}") for _ in engines[:4]]
        other = [gift(clock.now(), f"order-{n}", note="another") for _ in engines[4:]]
        messages = [*same, *other]
        told = at_once(
            *(
                lambda engine=engine, message=message: Books(engine=engine).enqueue([message], source="test")[0]
                for engine, message in zip(engines, messages, strict=True)
            )
        )
        receipts = [each for each in told if not isinstance(each, Exception)]
        assert sum(not each.duplicate for each in receipts) == 1
        assert len({each.id for each in receipts}) == 1
        conflicts = [each for each in told if isinstance(each, Exception)]
        assert {type(each) for each in conflicts} == {IdempotencyConflict}
        assert {each.existing for each in conflicts if hasattr(each, "existing")} <= {receipts[0].id}
        assert len(receipts) == (4 if receipts[0].id in {each.id for each in same} else 2)
    assert states(engines[0]) == {State.QUEUED: 10}
    for engine in engines:
        engine.dispose()


def test_two_intakes_of_the_same_file_at_once_load_everybody_once(
    pair: tuple[Engine, Engine], clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 100)
    file = tmp_path / "spring.csv"
    file.write_text("recipient\n" + "\n".join(numbers(1500)) + "\n")
    both = [campaigns_on(engine, clock) for engine in pair]
    told = at_once(*(lambda each=each: each.create(file, name="spring", template="Hi") for each in both))
    assert {type(each).__name__ for each in told} <= {"Created", "CampaignRefused"}, told
    _everybody_is_loaded_once(both, file, 1500)


def test_after_an_intake_that_was_killed_two_go_on_at_once_and_load_everybody_once(
    pair: tuple[Engine, Engine], ledger_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 50)
    file = tmp_path / "spring.csv"
    file.write_text("recipient\n" + "\n".join(numbers(2000)) + "\n")
    doomed = multiprocessing.get_context("fork").Process(target=_take_in, args=(ledger_url, file))
    doomed.start()
    assert doomed.pid is not None
    books = Books(engine=pair[0])
    while doomed.is_alive() and len(books.messages(Filter(), limit=300)) < 300:
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        os.kill(doomed.pid, signal.SIGKILL)
    doomed.join()
    both = [campaigns_on(engine, clock) for engine in pair]
    told = at_once(*(lambda each=each: each.create(file, name="spring", template="Hi") for each in both))
    assert {type(each).__name__ for each in told} <= {"Created", "CampaignRefused"}, told
    _everybody_is_loaded_once(both, file, 2000)


def _take_in(ledger_url: str, file: Path) -> None:
    campaigns_on(make_engine(ledger_url), FakeClock()).create(file, name="spring", template="Hi")


def _everybody_is_loaded_once(both: list[Campaigns], file: Path, count: int) -> None:
    for each in both:  # whoever was told that the other one is at it asks again, and then once more
        made = each.create(file, name="spring", template="Hi").campaign
        found = (made.total, made.rows_read, made.invalid, made.duplicates)
        assert found == (count, count, 0, 0)
    engine = both[0].books.engine
    loaded = sorted(each.recipient for each in Books(engine=engine).messages(Filter(), limit=100_000))
    assert loaded == sorted(numbers(count))
    assert sum(audited(engine, "create campaign").values()) == 1


def test_many_workers_who_claim_and_settle_at_once_share_no_message_and_lose_none(
    ledger_url: str, clock: FakeClock
) -> None:
    engines = [make_engine(ledger_url) for _ in range(5)]
    messages = [sms(clock.now(), f"text {n}") for n in range(120)] + [gift(clock.now()) for _ in range(120)]
    Books(engine=engines[0]).enqueue(messages, source="test")
    slow = outcome(OutcomeKind.UNAUTHORIZED, http_status=401)

    def work(engine: Engine) -> Counter[UUID]:
        """Claim and settle; whatever comes for the first time is sent back to the queue."""
        ledger, had = SqlLedger.on(engine), Counter[UUID]()
        while held := [
            each for channel in Channel for each in ledger.claim(wish(clock.now(), channel, count=7)).messages
        ]:
            had.update(each.id for each in held)
            answers = [
                settled(each, ACCEPTED if each.calls_made else slow, clock.now(), generation=each.calls_made)
                for each in held
            ]
            assert ledger.settle(answers) == {each.id for each in held}
        return had

    told = at_once(*(lambda engine=engine: work(engine) for engine in engines))
    all_fine(told)
    assert sum(told, Counter[UUID]()) == dict.fromkeys([each.id for each in messages], 2)
    assert attempts(engines[0]) == dict.fromkeys([each.id for each in messages], 2)
    assert states(engines[0]) == {State.ACCEPTED: 240}
    assert {each.attempts_made for each in Books(engine=engines[0]).messages(Filter(), limit=1000)} == {1}
    for engine in engines:
        engine.dispose()


def test_of_two_who_believe_to_hold_a_message_only_the_one_who_does_prolongs_its_lease(
    pair: tuple[Engine, Engine], clock: FakeClock
) -> None:
    late = claimed(pair[0], clock, sms(clock.now()))
    clock.advance(timedelta(seconds=61))
    clock_on(pair[1], clock).run()
    clock.advance(timedelta(minutes=5))
    one, other = (SqlLedger.on(engine) for engine in pair)
    held = other.claim(wish(clock.now())).messages
    assert [each.id for each in held] == [late[0].id]
    far = clock.now() + HOUR
    all_fine(at_once(*[lambda: one.renew(late, now=clock.now(), until=far)] * 2))
    clock.advance(timedelta(seconds=61))
    assert other.lost_leases(now=clock.now(), limit=10) == held, "it ran out when its own holder had it run out"


def test_a_worker_that_takes_a_message_while_a_clock_is_about_to_give_it_up_keeps_it(
    pair: tuple[Engine, Engine], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = sms(clock.now(), expires_at=clock.now() + timedelta(seconds=5))
    Books(engine=pair[0]).enqueue([brief], source="test")
    slow = clock.now()  # by the worker's own clock
    clock.advance(timedelta(seconds=6))
    held: list[Claimed] = []

    def in_between(engine: Engine) -> AbstractContextManager[Connection]:
        held.extend(SqlLedger.on(pair[0]).claim(wish(slow)).messages)
        return transaction(engine)

    monkeypatch.setattr(sql_ledger, "transaction", in_between)
    assert SqlLedger.on(pair[1]).expire(now=clock.now(), limit=10) == 0
    assert len(held) == 1
    assert states(pair[0]) == {State.SENDING: 1}


def test_two_settlements_of_the_same_call_at_once_count_once(pair: tuple[Engine, Engine], clock: FakeClock) -> None:
    held = claimed(pair[0], clock, *[sms(clock.now()) for _ in range(30)], *[gift(clock.now()) for _ in range(30)])
    answers = [settled(each, ACCEPTED, clock.now()) for each in held]
    ledgers = [SqlLedger.on(engine) for engine in pair]
    told = at_once(lambda: ledgers[0].settle(answers), lambda: ledgers[1].settle(answers[::-1]))
    all_fine(told)
    assert sorted([*told[0], *told[1]]) == sorted(each.id for each in held)
    assert attempts(pair[0]) == dict.fromkeys([each.id for each in held], 1)
    assert states(pair[0]) == {State.ACCEPTED: 60}


def test_two_late_settlements_of_the_same_call_at_once_are_kept_as_evidence_once(
    pair: tuple[Engine, Engine], clock: FakeClock
) -> None:
    """Its message is somebody else's by now, so that only the attempt is kept: once, and nobody stumbles over it."""
    held = claimed(pair[0], clock, *[sms(clock.now(), f"text {n}") for n in range(60)])
    ledgers = [SqlLedger.on(engine) for engine in pair]
    ledgers[0].settle([settled(each, ACCEPTED, clock.now()) for each in held])
    late = [settled(each, outcome(OutcomeKind.FAILED, http_status=500), clock.now()) for each in held]
    all_fine(at_once(*(lambda ledger=ledger: ledger.settle(late) for ledger in ledgers)))
    assert attempts(pair[0]) == dict.fromkeys([each.id for each in held], 2)
    assert states(pair[0]) == {State.ACCEPTED: 60}


def test_an_answer_and_a_sweep_at_the_same_moment_end_with_the_answer(
    pair: tuple[Engine, Engine], clock: FakeClock
) -> None:
    held = claimed(pair[0], clock, *[gift(clock.now()) for _ in range(60)])
    clock.advance(HOUR)
    ledgers, tick = [SqlLedger.on(engine) for engine in pair], clock_on(pair[1], clock)
    answers = [settled(each, ACCEPTED, clock.now()) for each in held]
    all_fine(
        at_once(
            lambda: [ledgers[0].settle(answers[start : start + 6]) for start in range(0, 60, 6)],
            lambda: [ledgers[1].settle([tick._give_up(each) for each in held[s : s + 6]]) for s in range(0, 60, 6)],
        )
    )
    assert states(pair[0]) == {State.ACCEPTED: 60}, "a doubt gives way to the answer, and the answer to no doubt"
    assert attempts(pair[0]) == dict.fromkeys([each.id for each in held], 2)
    assert {each.attempts_made for each in Books(engine=pair[0]).messages(Filter(), limit=100)} == {1}


def test_two_who_settle_the_same_spool_at_once_settle_it_once(
    pair: tuple[Engine, Engine], clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = claimed(pair[0], clock, *[sms(clock.now()) for _ in range(50)], *[gift(clock.now()) for _ in range(50)])
    answers = [settled(each, ACCEPTED, clock.now()) for each in held]
    identity = SqlLedger.on(pair[0]).identity
    for n in range(10):  # ten processes that died
        Spool(tmp_path, f"dead-{n}", identity).append(answers[n * 10 : n * 10 + 10])
    spools = [Spool(tmp_path, "one", identity), Spool(tmp_path, "other", identity)]

    def drain(engine: Engine, spool: Spool) -> None:
        Settling(
            ledger=SqlLedger.on(engine),
            limiter=OpenLimiter(),
            tokens=FixedToken(),
            clock=clock,
            spool=spool,
            policies=POLICIES,
            worker=spool.owner,
            configuration_pause=HOUR,
        ).catch_up(until=0.0)

    all_fine(at_once(lambda: drain(pair[0], spools[0]), lambda: drain(pair[1], spools[1])))
    assert not spools[0].waiting
    assert not list(tmp_path.rglob("*.refused"))
    assert "spool_failed" not in caplog.text, "a file that another has just settled is no fault"
    assert attempts(pair[0]) == dict.fromkeys([each.id for each in held], 1)
    assert states(pair[0]) == {State.ACCEPTED: 100}


def test_fifty_rings_from_two_at_once_are_one_task(redis: Redis, valkey: str) -> None:
    bells = [CeleryBell(Redis.from_url(valkey)) for _ in range(2)]
    assert at_once(*(lambda bell=bell: [bell.ring() for _ in range(25)] for bell in bells)) == [[True] * 25] * 2
    assert redis.llen(QUEUE) == 1


@pytest.mark.slow
@pytest.mark.one_database
def test_doubled_and_lost_bells_change_nothing_but_a_delay(system: System) -> None:
    producer = make_ringing_app(system.environment["DISPATCHER_REDIS_URL"])

    def ring(times: int) -> None:
        for _ in range(times):
            producer.send_task("dispatcher.dispatch", queue="dispatcher.dispatch", retry=False)

    system.worker(SLICE_SECONDS="1")
    system.wait_ready()
    ring(50)  # and nothing is due
    system.wait_until(lambda: system.redis.llen(QUEUE) == 0)
    assert system.messages() == []
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}") for n in range(200))
        ring(50)
        for n in range(20):
            client.send_gift(NUMBER, sku="CARD", amount="10", currency="AUD", idempotency_key=f"order-{n}")
        system.wait_settled()
        assert system.counts() == {State.ACCEPTED: 220}
        system.wait_until(lambda: system.redis.llen(QUEUE) == 0)
        time.sleep(2)  # else it may be stopped in a transaction, whose lock nobody gets then
        paused = system.processes[0]
        os.killpg(paused.pid, signal.SIGSTOP)
        client.send_many(Sms(recipient=NUMBER, body=f"lost {n}") for n in range(50))
        system.redis.delete(QUEUE, "dispatcher:bell")  # the only bell for them
        os.killpg(paused.pid, signal.SIGCONT)
        time.sleep(2.5)
        system.clock()
        system.wait_settled()
    assert system.counts() == {State.ACCEPTED: 270}
    assert set(system.carried_out().values()) == {1}
    system.assert_books_balance()
