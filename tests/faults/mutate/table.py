"""What is broken on purpose, and the test that has to notice: at least one mutation for each promise.

`python -m tests.faults.mutate.table [PAGE]` writes it as a table.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.faults.mutate.anchor import Match, find
from tests.figures import show


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One change of the code that breaks a promise."""

    promise: str
    """The number of the promise, as in `docs/guarantees.md`."""
    breaks: str
    """What the code then does."""
    file: str
    function: str = ""
    """The qualified name of the function or class that contains the statement; empty in other languages."""
    old: str
    """The statement, or as much of it as is unique in the function. White space and names may differ in the code."""
    new: str
    """The replacement; empty to remove the statement or, with its comma, the argument."""
    test: str

    def find(self, root: Path) -> Match:
        """Return the piece of code that it replaces.

        :raises AnchorLost: the statement no longer exists, so the table is out of date.
        """
        return find(root, self.file, self.function, self.old)


_LEDGER, _ENGINE, _GATEWAY = "dispatcher/ledger", "dispatcher/engine", "dispatcher/gateway"
_POLICY = "dispatcher/domain/policy.py"
_CRASH = "tests/faults/test_crash_points.py"
_TWO = "tests/faults/test_two_of_everything.py"
_INTAKE = "tests/system/test_broker_intake.py"
_KEPT = "tests/ledger/test_retention.py"
MUTATIONS = [
    Mutation(
        promise="1",
        breaks="a message that came through the broker is dropped when the ledger cannot take it",
        file="dispatcher/broker/tasks.py",
        function="register.enqueue",
        old="raise Reject(requeue=True) from None",
        new="return",
        test=f"{_INTAKE}::test_a_read_only_ledger_costs_time_and_no_message",
    ),
    Mutation(
        promise="2",
        breaks="a sealed text is taken again after its message was pruned",
        file=f"{_LEDGER}/broker_intake.py",
        function="BrokerIntake.enqueue",
        old="if is_new is None and not enqueued.duplicate:",
        new="if False:",
        test="tests/broker/test_sealed.py::test_a_text_that_is_published_again_after_its_message_was_pruned_is_refused",
    ),
    Mutation(
        promise="2",
        breaks="a sealed text never expires",
        file="dispatcher/broker/sealed.py",
        function="sealed_at",
        old="if now - moment > LIFE:",
        new="if False:",
        test="tests/broker/test_sealed.py::test_a_text_expires_before_its_id_is_forgotten",
    ),
    Mutation(
        promise="1",
        breaks="the clock never rings for what nobody rang for",
        file=f"{_ENGINE}/tick.py",
        function="Tick._beat",
        old="if any(due.waiting for due in self.ledger.due(now=now)):",
        new="if False:",
        test=f"{_CRASH}::test_an_application_dies_after_its_commit_and_before_the_bell",
    ),
    Mutation(
        promise="1",
        breaks="leases of dead workers are never taken back",
        file=f"{_ENGINE}/tick.py",
        function="Tick._sweep",
        old="if lost:\n    taken =",
        new="if False:\n    taken =",
        test=f"{_CRASH}::test_a_worker_dies_between_claim_and_request",
    ),
    Mutation(
        promise="1",
        breaks="an enqueue waits for the bell and fails with it",
        file="dispatcher/broker/bell.py",
        function="CeleryBell.ring",
        old="except (RedisError, OSError) as error:",
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
        function="_Lease._keep",
        old="if rows and self._request.channel is Channel.GIFT:",
        new="if False:",
        test="tests/ledger/test_claim.py::test_invariant_2_no_double_gift_the_database_refuses_a_second_live_send",
    ),
    Mutation(
        promise="2",
        breaks="a gift in doubt loses its guard",
        file=f"{_LEDGER}/settle.py",
        function="_as_json",
        old='"free": int(decision.state in (State.QUEUED, State.DEAD)),',
        new='"free": int(decision.state in (State.QUEUED, State.DEAD, State.IN_DOUBT)),',
        test="tests/ledger/test_settle.py::test_a_gifts_guard_falls_only_with_proof_that_it_was_not_carried_out",
    ),
    Mutation(
        promise="3",
        breaks="a task carries a recipient",
        file="dispatcher/broker/bell.py",
        function="CeleryBell.ring",
        old="task_message(DISPATCH, queue=DISPATCH)",
        new='task_message(DISPATCH, queue="+61491570006")',
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
        function="renew",
        old="MessageRow.state == SENDING,\nMessageRow.lease_expires_at > now,",
        new="MessageRow.state == SENDING,",
        test="tests/ledger/test_claim.py::test_leases_are_renewed_only_while_they_last",
    ),
    Mutation(
        promise="4",
        breaks="a claim does not lock what it takes (PostgreSQL)",
        file=f"{_LEDGER}/claim.py",
        function="_due",
        old=".with_for_update(of=MessageRow, skip_locked=True)",
        new="",
        test="tests/ledger/test_claim.py::test_many_workers_never_share_a_message",
    ),
    Mutation(
        promise="5",
        breaks="a request leaves although its lease is over (requests)",
        file=f"{_GATEWAY}/requests_transport.py",
        function="RequestsTransport._outcome",
        old="if lease_left <= timedelta(0):",
        new="if False:",
        test="tests/faults/test_stopped_worker.py::test_stopped_before_its_request_it_does_not_send_any_more",
    ),
    Mutation(
        promise="5",
        breaks="messages are sent before their claim has committed",
        file=f"{_LEDGER}/claim.py",
        function="Claims.claim",
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
        file="dispatcher/limits/limiter.py",
        function="RedisLimiter.report",
        old="breaker.minimum,\nbreaker.sick_share,",
        new="breaker.minimum * 100000,\nbreaker.sick_share,",
        test="tests/faults/test_outage.py",
    ),
    Mutation(
        promise="7",
        breaks="a configuration fault pauses nothing",
        file=_POLICY,
        old="OutcomeKind.MISCONFIGURED: Rule(next=Next.SET_BACK, spends=False",
        new="OutcomeKind.MISCONFIGURED: Rule(next=Next.DIE, spends=False",
        test="tests/engine/test_pump.py::test_invariant_7_a_configuration_fault_stops_the_line_not_the_message",
    ),
    Mutation(
        promise="7",
        breaks="one message is enough to pause a channel",
        file="dispatcher/domain/suspicion.py",
        function="Suspicion.holds",
        old="return self.canary_failed or self.witnesses >= WITNESSES",
        new="return self.witnesses >= 1",
        test="tests/engine/test_suspect.py::test_suspect_poison_goes_behind_the_others_and_is_tried_in_no_tight_loop",
    ),
    Mutation(
        promise="7",
        breaks="no number of messages pauses a channel",
        file="dispatcher/domain/suspicion.py",
        function="Suspicion.holds",
        old="return self.canary_failed or self.witnesses >= WITNESSES",
        new="return self.canary_failed",
        test="tests/engine/test_suspect.py::test_suspect_neighbours_pause_the_channel_even_if_the_test_call_works",
    ),
    Mutation(
        promise="7",
        breaks="a poisonous message is tried for ever",
        file=_POLICY,
        function="_set_back",
        old="case Blame.MESSAGE if answers >= ANSWERS:",
        new="case Blame.MESSAGE if False:",
        test="tests/engine/test_suspect.py::test_suspect_an_unknown_sku_dies_alone_and_its_guard_goes_with_it",
    ),
    Mutation(
        promise="7",
        breaks="an accepted message does not clear a suspect channel",
        file="dispatcher/limits/report.lua",
        old="cleared = suspects() > 0 and 1 or 0",
        new="",
        test="tests/limits/test_suspect.py::test_suspect_an_accepted_message_clears_the_channel",
    ),
    Mutation(
        promise="7",
        breaks="every message in flight is a witness",
        file="dispatcher/limits/report.lua",
        old="if not guess and (first or alone) then",
        new="if not guess then",
        test="tests/limits/test_suspect.py::test_suspect_messages_in_flight_together_are_one_witness",
    ),
    Mutation(
        promise="7",
        breaks="a suspect channel sends all at once",
        file="dispatcher/limits/reserve.lua",
        old="permits, what = 1, 'trial'",
        new="what = 'trial'",
        test="tests/limits/test_suspect.py::test_suspect_the_fleet_makes_one_test_call_and_sends_one_message_at_a_time",
    ),
    Mutation(
        promise="7",
        breaks="a dead token that is answered 403 is not renewed",
        file=f"{_ENGINE}/suspects.py",
        function="_renewable",
        old="return call.outcome.http_status == HTTPStatus.FORBIDDEN and",
        new="return False and",
        test="tests/engine/test_suspect.py"
        "::test_suspect_a_batch_in_flight_on_a_dead_token_that_is_answered_403_is_sent_with_the_next",
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
        function="resolve",
        old="if not _change(connection, message_id, (State.IN_DOUBT,), changes):",
        new="if not _change(connection, message_id, tuple(State), changes):",
        test="tests/ledger/test_settle.py::test_invariant_9_outcomes_do_not_move_backwards",
    ),
    Mutation(
        promise="10",
        breaks="an answer that the ledger cannot take is dropped",
        file=f"{_ENGINE}/settling.py",
        function="Settling.settle",
        old="self.spool.append(batch)",
        new="",
        test="tests/engine/test_spool.py::test_invariant_10_answers_are_spooled_and_settled_once_the_ledger_is_back",
    ),
    Mutation(
        promise="10",
        breaks="a spool's file goes before its answers are settled",
        file=f"{_ENGINE}/spool.py",
        function="Spool.batches",
        old="spooled, unreadable = _read(file.read())",
        new="                spooled, unreadable = _read(file.read())\n                path.unlink()\n",
        test="tests/engine/test_spool.py::test_answers_stay_on_disk_until_the_ledger_has_taken_them",
    ),
    Mutation(
        promise="11",
        breaks="the token is stored in clear",
        file="dispatcher/oauth/seal.py",
        function="Seal.close",
        old="return self._fernet.encrypt(json.dumps(held).encode()).decode()",
        new="return json.dumps(held)",
        test="tests/oauth/test_store.py::test_nothing_in_redis_is_in_clear",
    ),
    Mutation(
        promise="4",
        breaks="a lease is prolonged by who does not hold it",
        file=f"{_LEDGER}/claim.py",
        function="renew",
        old="MessageRow.lease_token.in_({message.lease for message in messages}),",
        new="",
        test=f"{_TWO}::test_of_two_who_believe_to_hold_a_message_only_the_one_who_does_prolongs_its_lease",
    ),
    Mutation(
        promise="6",
        breaks="an answer that resolves a doubt spends a second attempt (PostgreSQL)",
        file=f"{_LEDGER}/sql/settle.postgresql.sql",
        old="m.attempts_made + i.spent - CASE m.state WHEN 'in_doubt' THEN 1 ELSE 0 END",
        new="m.attempts_made + i.spent",
        test="tests/ledger/test_settle.py::test_a_late_answer_decides_whether_the_doubtful_call_spent_an_attempt",
    ),
    Mutation(
        promise="6",
        breaks="an answer that resolves a doubt spends a second attempt (SQLite)",
        file=f"{_LEDGER}/sql/settle.sqlite.sql",
        old="attempts_made + i.spent - CASE dispatcher_messages.state WHEN 'in_doubt' THEN 1 ELSE 0 END",
        new="attempts_made + i.spent",
        test="tests/ledger/test_settle.py::test_a_late_answer_decides_whether_the_doubtful_call_spent_an_attempt",
    ),
    Mutation(
        promise="4",
        breaks="what is under way is given up as too late",
        file=f"{_LEDGER}/sql_ledger.py",
        function="SqlLedger.expire",
        old="MessageRow.state == State.QUEUED.value, MessageRow.expires_at <= now)",
        new="MessageRow.expires_at <= now)",
        test=f"{_TWO}::test_a_worker_that_takes_a_message_while_a_clock_is_about_to_give_it_up_keeps_it",
    ),
    Mutation(
        promise="10",
        breaks="a pump trips over a spool that another has just settled",
        file=f"{_ENGINE}/spool.py",
        function="Spool.batches",
        old="            except FileNotFoundError:\n                continue  # another process has just settled it\n",
        new="            except FileExistsError:\n                continue\n",
        test=f"{_TWO}::test_two_who_settle_the_same_spool_at_once_settle_it_once",
    ),
    Mutation(
        promise="1",
        breaks="every ring is a task of its own",
        file="dispatcher/broker/bell.py",
        function="CeleryBell.ring",
        old="self._redis.set(_RUNG, 1, nx=True, px=LIFE_MS)",
        new="self._redis.set(_RUNG, 1, px=LIFE_MS)",
        test=f"{_TWO}::test_fifty_rings_from_two_at_once_are_one_task",
    ),
    Mutation(
        promise="1",
        breaks="a late answer does not wake its campaign",
        file=f"{_LEDGER}/settle.py",
        function="_settle_once_each",
        old="reopen(connection, campaigns_of(again))",
        new="pass",
        test="tests/ledger/test_campaign_claims.py",
    ),
    Mutation(
        promise="1",
        breaks="a bulk step does not lock the campaigns whose messages it queues again",
        file=f"{_LEDGER}/bulk.py",
        function="_change",
        old="hold(connection, campaigns)",
        new="pass",
        test="tests/ledger/test_bulk.py::"
        "test_a_campaign_that_is_cancelled_while_its_messages_are_queued_again_sends_nothing",
    ),
    Mutation(
        promise="1",
        breaks="a bulk step queues messages of a campaign that was cancelled after it chose them",
        file=f"{_LEDGER}/bulk.py",
        function="_apply",
        old="MessageRow.redacted_at.is_(None), ~cancelled()",
        new="MessageRow.redacted_at.is_(None)",
        test="tests/ledger/test_bulk.py::test_a_step_that_waited_for_a_cancellation_changes_nothing",
    ),
    Mutation(
        promise="12",
        breaks="what is in doubt is redacted",
        file=f"{_LEDGER}/retention.py",
        old="_AT_REST = (*_CARRIED_OUT, State.DEAD,",
        new="_AT_REST = (*_CARRIED_OUT, State.IN_DOUBT, State.DEAD,",
        test=f"{_KEPT}::test_what_waits_is_under_way_or_in_doubt_is_never_touched",
    ),
    Mutation(
        promise="12",
        breaks="a gift that may have been carried out is removed",
        file=f"{_LEDGER}/retention.py",
        function="_old",
        old="return [*settled, certain]",
        new="return settled",
        test=f"{_KEPT}::test_a_gift_that_may_have_been_carried_out_is_redacted_and_never_removed",
    ),
    Mutation(
        promise="12",
        breaks="what was settled lately is redacted",
        file=f"{_LEDGER}/retention.py",
        function="_old",
        old=", MessageRow.updated_at < before]",
        new="]",
        test=f"{_KEPT}::test_an_age_counts_from_when_it_was_settled",
    ),
    Mutation(
        promise="12",
        breaks="what an edited message was before stays in the audit trail",
        file=f"{_LEDGER}/retention.py",
        function="_forget_edits",
        old='        if "was" in row.details:\n',
        new="if False:",
        test=f"{_KEPT}",
    ),
    Mutation(
        promise="12",
        breaks="a campaign forgets what was removed",
        file=f"{_LEDGER}/retention.py",
        function="remove",
        old="values(removed=sums)",
        new="values(removed={})",
        test=f"{_KEPT}::test_a_campaigns_counts_stay_as_they_were",
    ),
    Mutation(
        promise="12",
        breaks="what was redacted is sent again",
        file=f"{_LEDGER}/operations.py",
        function="replay",
        old="MessageRow.id), MessageRow.redacted_at.is_(None)]",
        new="MessageRow.id)]",
        test=f"{_KEPT}::test_what_was_redacted_cannot_be_sent_again",
    ),
    Mutation(
        promise="13",
        breaks="a message is sent again in the year 9999",
        file="dispatcher/inspection/mending.py",
        function="check_moment",
        old="if at is not None and at > now + FARTHEST:",
        new="if False:",
        test="tests/fuzz/test_pages.py",
    ),
    Mutation(
        promise="13",
        breaks="a page runs what was typed into its search",
        file="dispatcher/web/templates/macros.html",
        old='type="search" value="{{ q }}"',
        new='type="search" value="{{ q|safe }}"',
        test="tests/fuzz/test_pages.py",
    ),
    Mutation(
        promise="13",
        breaks="a control call that is refused has changed something",
        file="dispatcher/sandbox/backstage.py",
        function="Backstage._change",
        old="settings = base.changed(changes)",
        new='self._provider.change(base.changed({"seed": 5}))\nsettings = base.changed(changes)',
        test="tests/fuzz/test_sandbox_calls.py",
    ),
    Mutation(
        promise="13",
        breaks="a sealed message that is nested too deeply ends the task",
        file="dispatcher/broker/sealed.py",
        function="unseal",
        old=", AttributeError, RecursionError):",
        new=", AttributeError):",
        test="tests/fuzz/test_kept.py",
    ),
    Mutation(
        promise="13",
        breaks="a damaged line stops the spool",
        file=f"{_ENGINE}/spool.py",
        function="_read",
        old="except ValidationError as error:",
        new="except UnicodeError as error:",
        test="tests/fuzz/test_kept.py",
    ),
    Mutation(
        promise="10",
        breaks="a damaged line of the spool is thrown away",
        file=f"{_ENGINE}/spool.py",
        function="Spool.batches",
        old="self._keep(line)",
        new="",
        test="tests/engine/test_spool.py::test_a_line_cut_off_by_a_crash_costs_only_itself",
    ),
    Mutation(
        promise="13",
        breaks="the database takes a gift without a currency (PostgreSQL)",
        file="migrations/versions/0007_gifts.py",
        old="jsonb_typeof(NEW.gift -> 'currency') = 'string'",
        new="true",
        test="tests/ledger/test_enqueue.py::test_the_database_refuses_a_gift_that_no_worker_could_read",
    ),
    Mutation(
        promise="13",
        breaks="the database takes a gift without a currency (SQLite)",
        file="migrations/versions/0007_gifts.py",
        old="json_type(NEW.gift, '$.currency') = 'text'",
        new="1",
        test="tests/ledger/test_enqueue.py::test_the_database_refuses_a_gift_that_no_worker_could_read",
    ),
    Mutation(
        promise="11",
        breaks="a query for numbers is answered whoever asks",
        file="dispatcher/inspection/desk.py",
        function="Desk.read",
        old="if not self.sees_numbers and query.private is not None:",
        new="if False:",
        test="tests/web/test_number_search.py::test_who_may_not_see_numbers_cannot_search_for_them_anywhere",
    ),
    Mutation(
        promise="11",
        breaks="an address with a number is answered",
        file="dispatcher/web/views.py",
        function="desk_of",
        old="sees_numbers=search is not None and search.private",
        new="sees_numbers=True",
        test="tests/web/test_number_search.py::test_no_address_with_a_number_is_answered_whoever_asks",
    ),
    Mutation(
        promise="11",
        breaks="an encrypted search opens for anybody",
        file="dispatcher/web/searches.py",
        function="SearchCipher.decrypt",
        old="if owner != person:",
        new="if False:",
        test="tests/web/test_number_search.py::test_a_link_to_a_search_for_numbers_opens_for_its_own_person_only",
    ),
    Mutation(
        promise="11",
        breaks="a guess costs nothing until its hash is compared",
        file="dispatcher/web/guesses.py",
        function="Guesses.count",
        old="self._keep(key, each - 1.0, now)",
        new="pass",
        test="tests/web/test_sign_in.py::test_guesses_at_the_same_moment_are_counted_before_they_are_hashed",
    ),
    Mutation(
        promise="11",
        breaks="passwords are hashed all at once",
        file="dispatcher/web/people.py",
        function="HashLine.verify",
        old="async with self._turn:",
        new="if True:",
        test="tests/web/test_sign_in.py::test_names_at_the_same_moment_are_hashed_one_by_one",
    ),
    Mutation(
        promise="11",
        breaks="a signed-out session goes on",
        file="dispatcher/web/guard.py",
        function="Guard._person",
        old="if session is None or await run_in_threadpool(self._is_signed_out, session.id):",
        new="if session is None:",
        test="tests/web/test_sign_in.py::test_a_copied_cookie_is_void_after_signing_out_in_every_process",
    ),
    Mutation(
        promise="11",
        breaks="a session outlives its person's role and password",
        file="dispatcher/web/sessions.py",
        function="Sessions.read",
        old="if person is None or not hmac.compare_digest(epoch.encode(), self.people.epoch(name).encode()):",
        new="if person is None:",
        test="tests/web/test_sign_in.py::test_a_session_ends_when_its_person_is_removed_or_gets_another_role_or_password",
    ),
    Mutation(
        promise="11",
        breaks="a file that is open to others stays so",
        file="dispatcher/private_files.py",
        function="tighten",
        old="path.chmod(FOLDER if path.is_dir() else FILE)",
        new="pass",
        test="tests/cli/test_private_files.py::test_check_names_what_is_open_to_others_and_closes_it",
    ),
    Mutation(
        promise="11",
        breaks="a new ledger is open to others",
        file="dispatcher/ledger/engine.py",
        function="_sqlite",
        old="prepare_sqlite(file)",
        new="file.parent.mkdir(parents=True, exist_ok=True)",
        test="tests/cli/test_private_files.py::test_a_new_home_with_its_ledger_and_spool_is_for_its_owner_alone",
    ),
    Mutation(
        promise="13",
        breaks="a body without a length is read whatever its size",
        file="dispatcher/web/bodies.py",
        function="BoundedBodies.__call__",
        old="if too_large or taken > most:",
        new="if too_large:",
        test="tests/web/test_bodies.py::test_a_body_that_is_too_large_is_refused",
    ),
]


def as_table() -> str:
    """Write what is broken and what notices as a table in Markdown."""
    table = sorted(MUTATIONS, key=lambda each: int(each.promise))
    rows = [f"| {each.promise} | {each.breaks} | `{each.test}` |" for each in table]
    return "\n".join(["| promise | what the code then does | caught by |", "|---|---|---|", *rows])


if __name__ == "__main__":
    show(as_table(), "mutations", sys.argv[1:])
