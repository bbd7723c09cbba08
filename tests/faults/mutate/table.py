"""What is broken on purpose, and the test that has to notice: at least one mutation for each promise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One change of the code that breaks a promise."""

    promise: str
    """The number of the promise, as in `docs/guarantees.md`."""
    breaks: str
    """What the code then does."""
    file: str
    old: str
    new: str
    test: str

    def apply(self, whole: str) -> str:
        """Return the file's text, broken.

        :raises ValueError: the text to replace is not there exactly once, so the table is out of date.
        """
        found = whole.count(self.old)
        if found != 1:
            raise ValueError(f"{self.file}: {self.old!r} is there {found} times")
        return whole.replace(self.old, self.new)


_LEDGER, _ENGINE, _GATEWAY = "dispatcher/ledger", "dispatcher/engine", "dispatcher/gateway"
_POLICY = "dispatcher/domain/policy.py"
_CRASH = "tests/faults/test_crash_points.py"
_MODEL = "tests/faults/test_model.py"
MUTATIONS = [
    Mutation(
        promise="1",
        breaks="the clock never rings for what nobody rang for",
        file=f"{_ENGINE}/tick.py",
        old="if any(due.waiting for due in self.ledger.due(now=now)):",
        new="if False:",
        test=f"{_CRASH}::test_an_application_dies_after_its_commit_and_before_the_bell",
    ),
    Mutation(
        promise="1",
        breaks="leases of dead workers are never taken back",
        file=f"{_ENGINE}/tick.py",
        old="        if lost:\n",
        new="        if False:\n",
        test=f"{_CRASH}::test_a_worker_dies_between_claim_and_request",
    ),
    Mutation(
        promise="1",
        breaks="an enqueue waits for the bell and fails with it",
        file="dispatcher/broker/bell.py",
        old="except (RedisError, KombuError, OSError) as error:",
        new="except ZeroDivisionError as error:",
        test="tests/broker/test_bell.py::test_a_dead_redis_is_told_by_no_exception",
    ),
    Mutation(
        promise="2",
        breaks="a gift whose outcome is ambiguous is tried again",
        file=_POLICY,
        old="OutcomeKind.IN_DOUBT: Rule(next=Next.DOUBT, spends=True, effect=Effect.SICK)",
        new="OutcomeKind.IN_DOUBT: Rule(next=Next.RETRY, spends=True, effect=Effect.SICK)",
        test=f"{_CRASH}::test_a_worker_is_killed_while_the_api_works",
    ),
    Mutation(
        promise="2",
        breaks="a gift that failed with a 5xx is tried again",
        file=_POLICY,
        old="OutcomeKind.FAILED: Rule(next=Next.DOUBT, spends=True, effect=Effect.SICK)",
        new="OutcomeKind.FAILED: Rule(next=Next.RETRY, spends=True, effect=Effect.SICK)",
        test="tests/engine/test_pump.py::test_invariant_2_no_double_gift_whatever_is_ambiguous_waits_for_a_person",
    ),
    Mutation(
        promise="2",
        breaks="a claimed gift gets no guard",
        file=f"{_LEDGER}/claim.py",
        old="if rows and self._request.channel is Channel.GIFT:",
        new="if False:",
        test="tests/ledger/test_claim.py::test_invariant_2_no_double_gift_the_database_refuses_a_second_live_send",
    ),
    Mutation(
        promise="2",
        breaks="a gift in doubt loses its guard",
        file=f"{_LEDGER}/settle.py",
        old='"free": int(decision.state in (State.QUEUED, State.DEAD)),',
        new='"free": int(decision.state in (State.QUEUED, State.DEAD, State.IN_DOUBT)),',
        test="tests/ledger/test_settle.py::test_a_gifts_guard_falls_only_with_proof_that_it_was_not_carried_out",
    ),
    Mutation(
        promise="3",
        breaks="a task carries a recipient",
        file="dispatcher/broker/bell.py",
        old="self._app.send_task(DISPATCH, queue=DISPATCH,",
        new='self._app.send_task(DISPATCH, args=["+61491570006"], queue=DISPATCH,',
        test="tests/test_client.py::test_invariant_3_the_broker_carries_no_content",
    ),
    Mutation(
        promise="4",
        breaks="a settlement does not compare the lease (PostgreSQL)",
        file=f"{_LEDGER}/sql/settle.postgresql.sql",
        old="WHERE m.id = i.id AND m.lease_token = i.lease",
        new="WHERE m.id = i.id",
        test="tests/ledger/test_settle.py::test_invariant_4_a_late_worker_cannot_settle_what_a_newer_one_holds",
    ),
    Mutation(
        promise="4",
        breaks="a settlement does not compare the lease (SQLite)",
        file=f"{_LEDGER}/sql/settle.sqlite.sql",
        old="WHERE dispatcher_messages.id = i.id AND dispatcher_messages.lease_token = i.lease",
        new="WHERE dispatcher_messages.id = i.id",
        test="tests/ledger/test_settle.py::test_invariant_4_a_late_worker_cannot_settle_what_a_newer_one_holds",
    ),
    Mutation(
        promise="4",
        breaks="a lease that ran out is prolonged",
        file=f"{_LEDGER}/claim.py",
        old="            MessageRow.lease_expires_at > now,\n",
        new="",
        test="tests/ledger/test_claim.py::test_leases_are_renewed_only_while_they_last",
    ),
    Mutation(
        promise="4",
        breaks="a claim does not lock what it takes (PostgreSQL)",
        file=f"{_LEDGER}/claim.py",
        old="        .with_for_update(of=MessageRow, skip_locked=True)\n    )\n    return due.where",
        new="    )\n    return due.where",
        test="tests/ledger/test_claim.py::test_many_workers_never_share_a_message",
    ),
    Mutation(
        promise="5",
        breaks="a request leaves although its lease is over (requests)",
        file=f"{_GATEWAY}/requests_transport.py",
        old="if lease_left <= timedelta(0):",
        new="if False:",
        test="tests/faults/test_stopped_worker.py::test_stopped_before_its_request_it_does_not_send_any_more",
    ),
    Mutation(
        promise="5",
        breaks="messages are sent before their claim has committed",
        file=f"{_LEDGER}/claim.py",
        old="        with transaction(self.engine) as connection:\n            lease = _Lease(",
        new="        if True:\n            connection = self.engine.connect()\n            lease = _Lease(",
        test="tests/engine/test_pump.py::test_invariant_5_the_claim_has_committed_before_the_request_leaves",
    ),
    Mutation(
        promise="6",
        breaks="a 429 spends an attempt",
        file=_POLICY,
        old="OutcomeKind.THROTTLED: Rule(next=Next.REQUEUE, spends=False",
        new="OutcomeKind.THROTTLED: Rule(next=Next.REQUEUE, spends=True",
        test="tests/ledger/test_settle.py::test_invariant_6_waiting_spends_no_attempt",
    ),
    Mutation(
        promise="6",
        breaks="an unreachable API spends attempts",
        file=_POLICY,
        old="OutcomeKind.NOT_SENT: Rule(next=Next.RETRY, spends=False",
        new="OutcomeKind.NOT_SENT: Rule(next=Next.RETRY, spends=True",
        test="tests/domain/test_policy.py::test_the_table",
    ),
    Mutation(
        promise="6",
        breaks="the breaker never opens",
        file="dispatcher/limits/tuning.py",
        old="    minimum: int = 10\n",
        new="    minimum: int = 1000000\n",
        test="tests/faults/test_outage.py",
    ),
    Mutation(
        promise="7",
        breaks="a configuration fault pauses nothing",
        file=_POLICY,
        old="OutcomeKind.MISCONFIGURED: Rule(next=Next.REQUEUE, spends=False, effect=Effect.PAUSE)",
        new="OutcomeKind.MISCONFIGURED: Rule(next=Next.REQUEUE, spends=False, effect=Effect.HEALTHY)",
        test="tests/engine/test_pump.py::test_invariant_7_a_configuration_fault_stops_the_line_not_the_message",
    ),
    Mutation(
        promise="8",
        breaks="more permits are granted than have gathered",
        file="dispatcher/limits/reserve.lua",
        old="local permits = math.min(want, math.floor(gathered + 1e-6))",
        new="local permits = want",
        test="tests/limits/test_rate.py::test_eight_processes_together_keep_the_rate_and_use_it",
    ),
    Mutation(
        promise="9",
        breaks="a person's word changes what is settled",
        file=f"{_LEDGER}/operations.py",
        old="if not _change(connection, message_id, (State.IN_DOUBT,), changes):",
        new="if not _change(connection, message_id, tuple(State), changes):",
        test="tests/ledger/test_settle.py::test_invariant_9_outcomes_do_not_move_backwards",
    ),
    Mutation(
        promise="10",
        breaks="an answer that the ledger cannot take is dropped",
        file=f"{_ENGINE}/settling.py",
        old="            self.spool.append(batch)\n",
        new="",
        test="tests/engine/test_spool.py::test_invariant_10_answers_are_spooled_and_settled_once_the_ledger_is_back",
    ),
    Mutation(
        promise="10",
        breaks="a spool's file goes before its answers are settled",
        file=f"{_ENGINE}/spool.py",
        old="                spooled = list(_read(path, file.read()))\n",
        new="                spooled = list(_read(path, file.read()))\n                path.unlink()\n",
        test="tests/engine/test_spool.py::test_answers_stay_on_disk_until_the_ledger_has_taken_them",
    ),
    Mutation(
        promise="11",
        breaks="the token is stored in clear",
        file="dispatcher/oauth/seal.py",
        old="return self._fernet.encrypt(json.dumps(held).encode()).decode()",
        new="return json.dumps(held)",
        test="tests/oauth/test_store.py::test_nothing_in_redis_is_in_clear",
    ),
]
