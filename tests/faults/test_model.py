"""The ledger beside its model: whatever workers, clocks and people do, in any order, on both databases.

After every step each row must be as the model says, and the model's own truth must hold: no gift twice, nothing lost.
Example counts grow by a setting: ``MODEL_EXAMPLES=50 pytest tests/faults/test_model.py``.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import CampaignState
from dispatcher.engine import Spool
from dispatcher.ledger import bulk, make_engine
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import (
    ATTEMPTS,
    CAMPAIGNS,
    GIFT_GUARDS,
    MESSAGES,
    OPERATIONS,
)
from tests.faults.walk.beats import Beats
from tests.faults.walk.expected import BUDGET, POLICIES, Expected
from tests.faults.walk.hands import Hands
from tests.faults.walk.persons import Persons
from tests.faults.walk.world import STEP, WORKERS

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "1"))
"""Multiplies how many walks are made."""
SHRINK = "MODEL_SHRINK" in os.environ
"""Looks for the shortest walk that goes wrong, for minutes."""
PICK = st.integers(0, 23)
"""Which of what there is; its rest by their number."""


class Walk(Hands, Beats, Persons):
    """Three workers, two clocks and some people, in any order."""

    @rule(which=st.integers(0, 2**16), n=st.sampled_from(WORKERS), pick=PICK, more=PICK)
    def something_happens(self, which: int, n: int, pick: int, more: int) -> None:
        """Let one of those things happen that can, the likely ones more often."""
        deeds = [deed for deed, weight, possible in self._deeds() if possible for _ in range(weight)]
        chosen = deeds[which % len(deeds)]
        note(f"{chosen.__name__}({n % 2 if chosen in self._of_clocks else n}, {pick}, {more})")
        chosen(n % 2 if chosen in self._of_clocks else n, pick, more)

    def _deeds(self) -> list[tuple[Callable[[int, int, int], None], int, bool]]:
        calls = any(worker.calls for worker in self.workers)
        answers = any(worker.answers for worker in self.workers)
        return [
            (self.enqueue, 2, len(self.model.messages) < 30),
            (self.enqueue_the_same_key, 1, bool(self.model.keys)),
            (self.claim, 5, True),
            (self.the_provider_acts, 2, bool(self._under_way())),
            (self.answer, 7, calls),
            (self.settle, 4, answers),
            (self.settle_once_more, 2, bool(self.stale)),
            (self.spool, 1, answers),
            (self.catch_up, 3, Spool(self.folder, "", self.workers[0].ledger.identity).waiting),
            (self.renew, 3, calls),
            (self.die, 1, calls or answers),
            (self.sweep, 2, True),
            (self.look_for_lost, 1, calls),
            (self.beat, 2, True),
            (self.expire, 1, True),
            (self.begin_operation, 1, len(self.model.bulks) < 4),
            (self.step, 2, any(not each.over for each in self.model.bulks.values())),
            (self.time_passes, 5, True),
            (self.a_person, 5, True),
            (self.an_operator, 4, True),
        ]

    @property
    def _of_clocks(self) -> list[Callable[[int, int, int], None]]:
        return [self.sweep, self.look_for_lost, self.beat, self.expire, self.step]

    @initialize(campaigns=st.lists(st.sampled_from(Channel), max_size=2))
    def begin(self, campaigns: list[Channel]) -> None:
        for channel in campaigns:
            self.begin_campaign(channel, 4)
        self.enqueue(0, 0, 1)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        with reading(self.engine) as connection:
            rows = {each.id: each for each in connection.execute(select(MESSAGES))}
            guards = connection.execute(select(GIFT_GUARDS)).all()
            numbers = select(ATTEMPTS.c.message_id, ATTEMPTS.c.id, ATTEMPTS.c.why_next).order_by(ATTEMPTS.c.number)
            attempts = connection.execute(numbers.add_columns(ATTEMPTS.c.number)).all()
            campaigns = connection.execute(select(CAMPAIGNS)).all()
            operations = connection.execute(select(OPERATIONS)).all()
        assert rows.keys() == self.model.messages.keys(), "nothing is lost and nothing is made up"
        recorded: dict[UUID, list[tuple[int, UUID]]] = {id_: [] for id_ in rows}
        marked: Counter[UUID] = Counter()
        for each in attempts:
            recorded[each.message_id].append((each.number, each.id))
            marked[each.message_id] += "may be a duplicate" in (each.why_next or "")
        for id_, expected in self.model.messages.items():
            assert as_it_is(rows[id_]) == as_it_ought_to_be(expected), f"{rows[id_]} is not {expected}"
            assert recorded[id_] == list(enumerate(expected.attempts, 1)), "numbers without gaps, each call once"
            assert marked[id_] <= POLICIES[expected.channel].max_duplicates
        assert {(each.message_id, each.booked_on) for each in guards} == {
            (each.id, each.booked_on) for each in self.model.messages.values() if each.guarded
        }
        assert {(c.id, c.state, c.spent, c.spent_that_day, c.day) for c in campaigns} == {
            (b.id, b.state.value, b.spent, b.spent_that_day, b.day) for b in self.model.bursts.values()
        }
        for burst in self.model.bursts.values():
            assert burst.spent == sum(25_00 for each in guards if each.campaign_id == burst.id) <= BUDGET
        assert {each.id: (each.done, each.skipped, each.state == "done") for each in operations} == {
            each.id: (each.done, 0, each.over) for each in self.model.bulks.values()
        }

    @invariant()
    def the_truth_is_as_it_must_be(self) -> None:
        self.model.check_truth()

    def teardown(self) -> None:
        """Let the world become healthy: then all that waits comes to something."""
        try:
            self._become_healthy()
        finally:
            shutil.rmtree(self.folder)

    def _become_healthy(self) -> None:
        for channel in list(self.model.paused):
            self.resume(channel)
        for n in WORKERS:
            self.catch_up(n, 0, 0)
            self.die(n, 0, 0)
        for burst in self.model.bursts.values():
            if burst.state is CampaignState.PAUSED:
                self.shelf.resume(burst.id, self.by())
                burst.become(CampaignState.RUNNING)
                burst.paused_until = None
        for n in range(8):
            self.beat(n % 2, 0, 0)
            self.claim(n % 3, 3, 0)
            for call in list(self.workers[n % 3].calls):
                self.workers[n % 3].calls.remove(call)
                said = self._settlement(self.workers[n % 3], call, self._outcome(call, OutcomeKind.ACCEPTED, 0))
                self.workers[n % 3].answers.append(said)
            if self.workers[n % 3].answers:
                self._settle(self.workers[n % 3].ledger, self.workers[n % 3].answers)
                self.workers[n % 3].answers = []
            self.common.advance(timedelta(minutes=4))
            self.the_ledger_is_as_the_model_says()
            self.the_truth_is_as_it_must_be()
        for each in self.model.messages.values():
            waits_for_money = each.campaign is not None and each.campaign.state is CampaignState.PAUSED
            assert each.state.settled or waits_for_money, f"forgotten: {each}"


def as_it_is(found: object) -> dict[str, object]:
    row = found._mapping  # type: ignore[attr-defined]
    names = "state attempts_made max_attempts calls_made doubtful_sends configuration_answers due_at expires_at "
    names += "updated_at trigger revision"
    ours = {name: row[name] for name in [*names.split(), "recipient", "lease_token", "lease_expires_at"]}
    return ours | {"discarded": row["discarded_at"] is not None}


def as_it_ought_to_be(each: Expected) -> dict[str, object]:
    names = "attempts_made max_attempts calls_made doubtful_sends configuration_answers due_at expires_at updated_at "
    names += "revision recipient"
    ours = {name: getattr(each, name) for name in [*names.split(), "discarded"]}
    ours |= {"state": each.state.value, "trigger": each.trigger.value}
    return ours | {"lease_token": each.lease, "lease_expires_at": each.lease_ends}


@pytest.mark.one_database
@pytest.mark.timeout(300 * EXAMPLES)  # seconds; on an idle machine it takes a tenth of that
def test_whatever_happens_in_any_order_the_ledger_is_as_its_model_says(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "STEP", STEP)
    _hurry(ledger_url)
    engines = tuple(make_engine(ledger_url) for _ in WORKERS)
    walk = type("WalkHere", (Walk,), {"engines": engines})
    try:
        run_state_machine_as_test(
            walk,
            settings=settings(
                max_examples=15 * EXAMPLES,
                stateful_step_count=50,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    finally:
        for engine in engines:
            engine.dispose()


def _hurry(ledger_url: str) -> None:
    """Have PostgreSQL not wait for the disk: nobody pulls the plug here, and a walk commits thousands of times."""
    if ledger_url.startswith("postgresql"):
        engine = make_engine(ledger_url)
        with transaction(engine) as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        engine.dispose()
