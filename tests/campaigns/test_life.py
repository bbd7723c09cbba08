"""Dry run, progress, and the machine of a campaign's states."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from dispatcher.admin import build_timeline
from dispatcher.campaigns import Campaigns
from dispatcher.campaigns.check import Invalid
from dispatcher.campaigns.dry_run import rewritten
from dispatcher.domain.errors import CampaignNotFound, CampaignRefused, InvalidCampaign
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.segments import Encoding
from dispatcher.domain.state import CAMPAIGN_TRANSITIONS, CampaignState, State
from dispatcher.domain.written_number import Form
from dispatcher.ledger import Books, By, Filter, SqlLedger
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import CAMPAIGNS
from dispatcher.testing import FakeClock
from tests.campaigns.making import KnownLimits, campaigns_on, numbers, rows, write
from tests.making import outcome, settled, wish


@pytest.fixture
def campaigns(engine: Engine, clock: FakeClock) -> Campaigns:
    return campaigns_on(engine, clock)


def test_a_dry_run_counts_what_the_intake_loads_and_writes_nothing(
    campaigns: Campaigns, books: Books, clock: FakeClock, tmp_path: Path
) -> None:
    text = "recipient,name\n+61491570006,Ann\n+61491570006,Ann\n1,x\n+61491570156,Łuk\n+61491570157,\n+61491570158,Bo\n"
    file = write(tmp_path / "x.csv", text)
    campaigns.books.suppress(Channel.SMS, ["+61491570158"], By(actor="test", reason=None, now=clock.now()))
    found: list[Invalid] = []
    report = campaigns.dry_run(file, template="Hi {name}", on_invalid=found.extend)
    assert books.messages(Filter()) == []
    assert campaigns.books.listed() == []
    counts = (report.rows, report.recipients, report.invalid, report.duplicates.count, report.opted_out)
    assert counts == (6, 2, 2, 1, 1)
    assert report.duplicates.lines == [3]
    assert [(row.line, row.value) for row in found] == [(4, "•"), (6, "+61•••••••57")]
    assert report.by_encoding == {Encoding.GSM7: (1, 1), Encoding.UCS2: (1, 1)}
    assert report.culprits == (("Ł", 1),)
    assert [sample.text for sample in report.samples] == ["Hi Ann", "Hi Łuk"]
    made = campaigns.create(file, name="x", template="Hi {name}").campaign
    assert (made.total, made.invalid, made.duplicates, made.opted_out, made.parts) == (2, 2, 1, 1, report.parts)


def test_a_dry_run_says_how_long_it_takes_at_the_present_and_at_the_configured_rate(
    engine: Engine, clock: FakeClock
) -> None:
    clock.set(datetime(2026, 11, 24, 8, tzinfo=UTC))
    limiter = KnownLimits()
    campaigns = campaigns_on(engine, clock, limiter=limiter)
    report = campaigns.dry_run(rows(1000), template="Hi", window="09:00-20:00 UTC")
    assert report.now is not None
    assert (report.now.per_second, report.now.takes) == (50, timedelta(seconds=20))
    assert report.now.finishes_at == datetime(2026, 11, 24, 9, 0, 20, tzinfo=UTC)
    assert report.configured.takes == timedelta(seconds=10)
    limiter.effective_rate = None
    assert campaigns.dry_run(rows(10), template="Hi", rate="5/s").now is None
    assert campaigns.dry_run(rows(10), template="Hi", rate="5/s").configured.per_second == 5


def test_a_dry_run_warns_of_what_one_would_regret(campaigns: Campaigns, clock: FakeClock) -> None:
    terms = {"channel": "gift", "sku": "A", "amount": "10", "currency": "AUD"}
    report = campaigns.dry_run(numbers(10), budget="50", **terms)  # type: ignore[arg-type]
    assert report.money == {"AUD": Decimal("100.00")}
    assert report.warnings == ("the budget does not cover it: AUD 100.00 for all of them",)
    late = campaigns.dry_run(rows(10), template="Hi", rate="1/m", expires_at=clock.now() + timedelta(minutes=5))
    assert "would not be over when it expires" in late.warnings[0]
    wrong = campaigns.dry_run([*numbers(8), "x", "y"], template="Hi")
    assert wrong.warnings == ("20% of the rows are invalid: is it the right file?",)


def test_a_dry_run_counts_the_numbers_that_were_rewritten_by_their_form(campaigns: Campaigns) -> None:
    written = [*numbers(3), "+61 491 571 001", "+61-491-571-002", "0491 571 003", "491571004", "61491571005"]
    written += [
        "0061 491 571 006",
        "+61491571007\u200b",
        "+٦١٤٩١٥٧١٠٠٨",
        "+61 (0)491 571 009",
        "0491 571 010",
        "0491 x",
    ]
    report = campaigns.dry_run(written, template="Hi", region="AU")
    assert report.rewritten == {
        Form.SPACED: 2,
        Form.NATIONAL: 2,
        Form.NO_ZERO: 1,
        Form.NO_PLUS: 1,
        Form.PREFIX: 1,
        Form.INVISIBLE: 1,
        Form.OTHER_DIGITS: 1,
        Form.TRUNK_ZERO: 1,
    }
    assert "2 in national form → +61…" in rewritten(report)
    assert "1 in national form without its leading 0 → +61…" in rewritten(report)
    assert "2 with spaces or punctuation" in rewritten(report)
    assert campaigns.dry_run(numbers(3), template="Hi").rewritten == {}


def test_a_dry_run_shows_money_as_it_was_read(campaigns: Campaigns) -> None:
    report = campaigns.dry_run(
        numbers(2), channel="gift", sku="A", amount="1,000.5", currency="EUR", budget="5'000.00, 1500/day"
    )
    assert report.terms == {"amount": "EUR 1000.50", "budget": "EUR 5000.00 1500.00/day"}
    assert campaigns.dry_run(numbers(2), template="Hi").terms == {}


def test_a_decimal_of_a_row_is_a_number_whatever_its_zeros(campaigns: Campaigns) -> None:
    amounts = [Decimal("25.0000"), Decimal("1E+1"), Decimal("5"), "25.0000", Decimal("5.999"), Decimal("NaN")]
    rows = [{"recipient": number, "price": amount} for number, amount in zip(numbers(6), amounts, strict=True)]
    terms: Any = {"channel": "gift", "sku": "A", "currency": "AUD", "columns": {"price": "amount"}}
    report = campaigns.dry_run(rows, **terms)
    assert (report.recipients, report.money) == (3, {"AUD": Decimal("40.00")})
    assert report.invalid == 3
    made = campaigns.create(rows[:1], name="one", budget=Decimal("25.0000"), template="{{price}}", **terms).campaign
    assert str(made.budget) == "25.00"
    assert made.total == 1


def test_amounts_of_a_file_are_refused_each_with_the_form_that_is_right(campaigns: Campaigns) -> None:
    wrong = {
        "1.000": "amount has more decimals than EUR, which has 2: write 1000.00 or 1.00",
        "5,00": "amount has a decimal comma: write 5.00",
        "1.500,00": "amount has a comma where no thousands separator stands: write 1500.00",
        "5_00": "amount has an underscore: write 500.00",
        "1E2": "amount has an exponent: write 100.00",
        "EUR 5": "amount has letters: write 5.00",
        "5.": "amount ends in '.': write 5.00",
    }
    made = [{"recipient": number, "amount": amount} for number, amount in zip(numbers(7), wrong, strict=True)]
    more = [{"recipient": number, "amount": "7,50"} for number in numbers(2, first=100)]
    report = campaigns.dry_run([*made, *more], channel="gift", sku="A", currency="EUR")
    assert [row.sentence for row in report.first_invalid] == [
        *wrong.values(),
        *["amount has a decimal comma: write 7.50"] * 2,
    ]
    commas = report.reasons["amount has a decimal comma"]
    assert (commas.count, commas.detail) == (3, "write 5.00")
    assert commas.explained("amount has a decimal comma") == "amount has a decimal comma (line 2: write 5.00)"


ACTIONS: dict[str, Callable[[Campaigns], object]] = {
    "start": lambda campaigns: campaigns.start("spring"),
    "schedule": lambda campaigns: campaigns.start("spring", at=campaigns.clock.now() + timedelta(hours=1)),
    "pause": lambda campaigns: campaigns.pause("spring", reason="test"),
    "resume": lambda campaigns: campaigns.resume("spring"),
    "cancel": lambda campaigns: campaigns.cancel("spring"),
}
AIMS = {
    "start": CampaignState.RUNNING,
    "schedule": CampaignState.SCHEDULED,
    "pause": CampaignState.PAUSED,
    "resume": CampaignState.RUNNING,
    "cancel": CampaignState.CANCELLED,
}
ONLY_BY_RESUME = {CampaignState.PAUSED, CampaignState.FINISHED}
"""Nobody starts these: one resumes or retries them."""


@pytest.mark.parametrize("state", list(CampaignState))
@pytest.mark.parametrize("action", list(ACTIONS))
def test_only_moves_of_the_machine_are_made(
    engine: Engine, campaigns: Campaigns, state: CampaignState, action: str
) -> None:
    campaigns.create(numbers(1), name="spring", template="Hi")
    with transaction(engine) as connection:
        connection.execute(update(CAMPAIGNS).values(state=state.value))
    aim = AIMS[action]
    allowed = aim in CAMPAIGN_TRANSITIONS[state] or (action == "schedule" and state is CampaignState.SCHEDULED)
    if action in ("start", "schedule"):
        allowed = allowed and state not in ONLY_BY_RESUME
    if action == "resume":
        allowed = state is CampaignState.PAUSED
    if allowed:
        ACTIONS[action](campaigns)
        assert campaigns.books.find("spring").state is aim
    else:
        with pytest.raises(CampaignRefused, match=f"is {state.value}, so it cannot be"):
            ACTIONS[action](campaigns)
        assert campaigns.books.find("spring").state is state


def test_a_scheduled_campaign_that_was_paused_waits_for_its_start_again(campaigns: Campaigns, clock: FakeClock) -> None:
    starts_at = clock.now() + timedelta(hours=1)
    campaigns.create(numbers(1), name="spring", template="Hi", starts_at=starts_at)
    campaigns.pause("spring", reason="wait")
    assert campaigns.resume("spring").state is CampaignState.SCHEDULED
    campaigns.pause("spring", reason="wait")
    clock.set(starts_at)
    assert campaigns.resume("spring").state is CampaignState.RUNNING


def test_moments_in_the_past_are_refused(campaigns: Campaigns, clock: FakeClock) -> None:
    campaigns.create(numbers(1), name="spring", template="Hi")
    with pytest.raises(InvalidCampaign, match="is past"):
        campaigns.start("spring", at=clock.now())
    campaigns.start("spring")
    with pytest.raises(InvalidCampaign, match="is past"):
        campaigns.pause("spring", reason="x", until=clock.now())


def test_an_unknown_campaign_is_said_to_be_unknown(campaigns: Campaigns) -> None:
    with pytest.raises(CampaignNotFound, match=r"no campaign has the id or name 'x'; .*campaign list"):
        campaigns.progress("x")


def test_progress_counts_from_the_ledger_and_tells_rate_end_and_failures(
    campaigns: Campaigns, ledger: SqlLedger, clock: FakeClock
) -> None:
    campaigns.create(numbers(100), name="spring", template="Hi")
    campaigns.start("spring")
    for _ in range(10):
        claimed = ledger.claim(wish(clock.now(), count=5)).messages
        kinds = [OutcomeKind.REJECTED, *[OutcomeKind.ACCEPTED] * 4]
        answers = [outcome(kind, http_status=400 if kind is OutcomeKind.REJECTED else 200) for kind in kinds]
        ledger.settle([settled(each, answer, clock.now()) for each, answer in zip(claimed, answers, strict=True)])
        ledger.recount(now=clock.now(), patience=timedelta(seconds=1))
        clock.advance(timedelta(seconds=1))
    progress = campaigns.progress("spring")
    assert (progress.sent, progress.waiting, progress.settled) == (40, 50, 50)
    assert progress.counts == {State.ACCEPTED: 40, State.DEAD: 10, State.QUEUED: 50}
    assert progress.rate_now == pytest.approx(4, rel=0.1)
    assert progress.finishes_at is not None
    assert progress.finishes_at - clock.now() == pytest.approx(timedelta(seconds=12.5), rel=0.1)
    assert [(group.state, group.error, group.count) for group in progress.failures] == [
        (State.DEAD, "400 rejected", 10)
    ]


def test_a_message_says_what_it_waits_for(
    campaigns: Campaigns, books: Books, ledger: SqlLedger, clock: FakeClock
) -> None:
    clock.set(datetime(2026, 11, 24, 8, tzinfo=UTC))
    campaigns.create(numbers(1), name="spring", template="Hi", window="09:00-20:00 UTC", rate="5/s")
    (message,) = books.messages(Filter())

    def waits() -> str:
        hold = books.hold(message.id, now=clock.now())
        return build_timeline(message, [], [], now=clock.now(), hold=hold)[-1].title

    assert waits() == "waits: its campaign has not been started"
    campaigns.start("spring", at=clock.now() + timedelta(minutes=30))
    assert waits() == "waits: its campaign starts at 2026-11-24 08:30:00 UTC"
    clock.advance(timedelta(minutes=30))
    ledger.advance(now=clock.now())
    window = "waits: outside its send window (09:00-20:00 UTC), which opens at 2026-11-24 09:00:00 UTC"
    assert waits() == window
    campaigns.pause("spring", reason="wrong price")
    assert waits() == "waits: its campaign is paused by test: wrong price"
    campaigns.resume("spring")
    clock.advance(timedelta(hours=2))
    assert waits() == "waits: its turn; its campaign sends at 5/s burst 1 at the most"
    books.pause(Channel.SMS, By(actor="olga", reason="fraud", now=clock.now()), until=None)
    assert waits() == "waits: the channel is paused by olga: fraud"


def test_a_campaign_s_texts_may_take_as_many_parts_as_the_provider_does(engine: Engine, clock: FakeClock) -> None:
    rows_ = [{"recipient": number, "body": "x" * length} for number, length in zip(numbers(2), (306, 307), strict=True)]
    dry = campaigns_on(engine, clock, max_parts=2).dry_run(rows_, template="{body}")
    assert (dry.recipients, dry.invalid) == (1, 1)
