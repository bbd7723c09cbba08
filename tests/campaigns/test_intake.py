"""Intake: what is loaded and what is left out, pages with cursors, nothing half-loaded, nobody twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.campaigns import Campaigns
from dispatcher.campaigns.check import Invalid
from dispatcher.domain.errors import (
    CampaignConflict,
    CampaignNotFound,
    CampaignRefused,
    InvalidCampaign,
    LedgerUnavailable,
)
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import Books, By, CampaignBooks, Filter, Message
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers, rows, write


@pytest.fixture
def campaigns(engine: Engine, clock: FakeClock) -> Campaigns:
    return campaigns_on(engine, clock)


def loaded(books: Books) -> list[Message]:
    """Return all messages in the order of their ids, which is that of the file."""
    return sorted(books.messages(Filter(), limit=100_000), key=lambda message: message.id)


def test_a_file_becomes_messages_in_its_order(campaigns: Campaigns, books: Books, tmp_path: Path) -> None:
    file = write(tmp_path / "spring.csv", "recipient,First name\n+61491570006,Ann\n+61491570156,Bob\n", "utf-8-sig")
    made = campaigns.create(file, name="spring", template="Hi {first name}!")
    assert (made.campaign.state, made.campaign.total, made.campaign.rows_read) == (CampaignState.DRAFT, 2, 2)
    messages = loaded(books)
    assert [(m.recipient, m.body) for m in messages] == [("+61491570006", "Hi Ann!"), ("+61491570156", "Hi Bob!")]
    assert {(m.state, m.priority, m.source, m.campaign_id) for m in messages} == {
        (State.QUEUED, Priority.BULK, "campaign", made.campaign.id)
    }


def test_what_cannot_get_a_message_is_left_out_and_told(campaigns: Campaigns, books: Books, tmp_path: Path) -> None:
    text = (
        "recipient,code\n+61491570006,A\n12,B\n+61280000000,C\n+61491570006,D\n+61491570156,\n\n+61491570157\n"
        "+61491570158,F\n"
    )
    found: list[Invalid] = []
    made = campaigns.create(write(tmp_path / "x.csv", text), name="x", template="Code {code}", on_invalid=found.extend)
    assert [(row.line, row.value) for row in found] == [
        (3, "••"),
        (4, "+61•••••••00"),
        (6, "+61•••••••56"),
        (8, "+61•••••••57"),
    ]
    assert "is not E.164" in found[0].reason
    assert "cannot be a mobile" in found[1].reason
    assert found[2].reason == "code is empty, and the template needs it"
    assert found[3].reason == "code is empty, and the template needs it"
    campaign = made.campaign
    assert (campaign.total, campaign.invalid, campaign.duplicates, campaign.rows_read) == (2, 4, 1, 7)
    assert [m.body for m in loaded(books)] == ["Code A", "Code F"], "the first of two rows for one number counts"


def test_opted_out_ones_are_left_out(campaigns: Campaigns, books: Books, clock: FakeClock) -> None:
    by = By(actor="test", reason="STOP", now=clock.now())
    campaigns.books.suppress(Channel.SMS, numbers(3), by)
    made = campaigns.create(rows(10), name="spring", template="Hi")
    assert (made.campaign.total, made.campaign.opted_out) == (7, 3)
    assert not {m.recipient for m in loaded(books)} & set(numbers(3))


def test_numbers_in_national_form_need_a_region(campaigns: Campaigns, books: Books) -> None:
    with pytest.raises(InvalidCampaign, match=r"no row of 1 can get a message.*not E\.164"):
        campaigns.create(["0491 570 006"], name="a", template="Hi")
    campaigns.create(["0491 570 006"], name="a", template="Hi", region="au")
    assert [m.recipient for m in loaded(books)] == ["+61491570006"]


def test_columns_can_be_called_anything(campaigns: Campaigns, books: Books, tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", "Mobil;Vorname;recipient\n+61491570006;Zoë;nobody\n")
    campaigns.create(
        file, name="x", template="Hallo {first_name}", columns={"Mobil": "recipient", "Vorname": "first_name"}
    )
    assert [(m.recipient, m.body) for m in loaded(books)] == [("+61491570006", "Hallo Zoë")]


def test_gifts_take_their_terms_from_the_options_or_from_each_row(
    campaigns: Campaigns, books: Books, tmp_path: Path
) -> None:
    file = write(tmp_path / "x.csv", "recipient,sku,amount\n+61491570006,TEA,5\n+61491570156,COFFEE,7.50\n")
    made = campaigns.create(file, name="x", channel="gift", currency="AUD", template="For you")
    gifts = [(m.gift.sku, str(m.gift.amount), m.gift.currency, m.gift.note) for m in loaded(books) if m.gift]
    assert gifts == [("TEA", "5.00", "AUD", "For you"), ("COFFEE", "7.50", "AUD", "For you")]
    keys = [m.idempotency_key for m in loaded(books)]
    assert len(set(keys)) == 2
    assert all(key and str(made.campaign.id) in key and "491570" not in key for key in keys)


class Killed(BaseException):
    """Stands for a SIGKILL."""


def dying_after(count: int, stream: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    for place, row in enumerate(stream):
        if place == count:
            raise Killed
        yield row


@pytest.mark.one_database
@pytest.mark.parametrize("survives", [0, 1, 2500, 4001, 9999])
def test_a_killed_intake_goes_on_where_it_was_and_loads_nobody_twice(
    engine: Engine, clock: FakeClock, books: Books, survives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 1000)
    campaigns = campaigns_on(engine, clock)
    with pytest.raises(Killed):
        campaigns.create(dying_after(survives, rows(10_000)), name="spring", template="Hi {first_name}")
    with pytest.raises(CampaignRefused if survives else CampaignNotFound):
        campaigns.start("spring")
    clock.advance(timedelta(minutes=5))
    made = campaigns.create(rows(10_000), name="spring", template="Hi {first_name}")
    assert (made.duplicate, made.campaign.total, made.campaign.rows_read) == (False, 10_000, 10_000)
    assert [m.recipient for m in loaded(books)] == numbers(10_000)


def test_the_counts_are_right_however_often_it_was_killed(
    engine: Engine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 100)
    campaigns = campaigns_on(engine, clock)
    by = By(actor="test", reason="STOP", now=clock.now())
    campaigns.books.suppress(Channel.SMS, numbers(7, first=500), by)
    mixed = [*rows(300), *rows(50), {"recipient": "x", "first_name": "", "code": ""}, *rows(600, first=300)]
    for survives in (150, 340, 360, 800):
        with pytest.raises(Killed):
            campaigns.create(dying_after(survives, iter(mixed)), name="spring", template="Hi")
    campaign = campaigns.create(mixed, name="spring", template="Hi").campaign
    counts = (campaign.total, campaign.invalid, campaign.duplicates, campaign.opted_out, campaign.rows_read)
    assert counts == (893, 1, 50, 7, 951)


def test_the_same_call_again_changes_nothing(
    campaigns: Campaigns, books: Books, clock: FakeClock, tmp_path: Path
) -> None:
    file = write(tmp_path / "x.csv", "recipient\n+61491570006\n")
    starts_at = clock.now() + timedelta(hours=1)
    first = campaigns.create(file, name="x", template="Hi", starts_at=starts_at)
    clock.advance(timedelta(hours=2))
    second = campaigns.create(file, name="x", template="Hi", starts_at=starts_at)
    assert (second.duplicate, second.campaign.id) == (True, first.campaign.id)
    assert len(loaded(books)) == 1


def test_a_name_is_never_used_for_something_else(campaigns: Campaigns, tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", "recipient\n+61491570006\n")
    campaigns.create(file, name="x", template="Hi")
    with pytest.raises(CampaignConflict, match="whose template is another"):
        campaigns.create(file, name="x", template="Hello")
    write(file, "recipient\n+61491570156\n")
    with pytest.raises(CampaignConflict, match="whose file is another"):
        campaigns.create(file, name="x", template="Hi")
    campaigns.cancel("x")
    assert campaigns.create(file, name="x", template="Hello").duplicate is False


def test_two_intakes_of_one_campaign_at_once_load_everybody_once(
    engine: Engine, clock: FakeClock, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 100)
    one, other = campaigns_on(engine, clock), campaigns_on(engine, clock)

    def interrupted() -> Iterator[dict[str, str]]:
        for place, row in enumerate(rows(1000)):
            if place == 500:  # the other one takes over in the middle
                with suppress(CampaignRefused):  # the first one's last page was on its way
                    other.create(rows(1000), name="spring", template="Hi")
                other.create(rows(1000), name="spring", template="Hi")
            yield row

    with pytest.raises(CampaignRefused, match="loaded by another process"):
        one.create(interrupted(), name="spring", template="Hi")
    assert [m.recipient for m in loaded(books)] == numbers(1000)


def test_an_intake_that_was_overtaken_stops(
    engine: Engine, clock: FakeClock, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 100)
    one, other = campaigns_on(engine, clock), campaigns_on(engine, clock)

    def overtaken() -> Iterator[dict[str, str]]:
        for place, row in enumerate(rows(1000)):
            if place == 300:
                for _ in range(2):  # the first one's last page may have been on its way
                    with suppress(CampaignRefused, Killed):
                        other.create(dying_after(800, rows(1000)), name="spring", template="Hi")
            yield row

    with pytest.raises(CampaignRefused, match="loaded by another process"):
        one.create(overtaken(), name="spring", template="Hi")
    assert one.create(rows(1000), name="spring", template="Hi").campaign.total == 1000
    assert [m.recipient for m in loaded(books)] == numbers(1000)


def test_every_character_arrives_as_it_was(campaigns: Campaigns, books: Books) -> None:
    names = ["tab\there", "line\nbreak", "return\rhere", "back\\slash \\t \\N", "quote\"s' 😀 €"]
    made = [{"recipient": number, "name": name} for number, name in zip(numbers(5), names, strict=True)]
    campaigns.create(made, name="x", template="<{name}>\t\\.")
    names[2] = "return\nhere"  # every line end is a LF before it is counted and sent
    assert [m.body for m in loaded(books)] == [f"<{name}>\t\\." for name in names]


def test_other_rows_than_those_it_was_begun_with_are_refused(
    engine: Engine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 100)
    campaigns = campaigns_on(engine, clock)
    with pytest.raises(Killed):
        campaigns.create(dying_after(250, rows(1000)), name="spring", template="Hi")
    with pytest.raises(InvalidCampaign, match="not the rows that campaign 'spring' was begun with"):
        campaigns.create([*rows(200, first=5000), *rows(200)], name="spring", template="Hi")


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("", {}, "file: "),
        ("recipient\n", {}, "file: "),
        ("phone\n+61491570006\n", {}, "file: has no column 'recipient'; the file has phone: say which it is"),
        ("recipient\n+61491570006\n", {"template": "Hi {name}"}, "template: {name} is no column of the file"),
        ("recipient\n+61491570006\n", {"template": "Hi {"}, "template: at character 4: a lone {"),
        ("recipient\n+61491570006\n", {"template": " "}, "template: is empty"),
        ("recipient\n+61491570006\n", {"template": "{recipient.__class__}"}, "template: at character 1"),
        ("recipient\n+61491570006\n", {"window": "20:00-20:00"}, "window: "),
        ("recipient\n+61491570006\n", {"window": "at night"}, "window: "),
        ("recipient\n+61491570006\n", {"rate": "0/s"}, "rate: '0/s' is not a rate"),
        ("recipient\n+61491570006\n", {"rate": "-5/s"}, "rate: '-5/s' is not a rate"),
        ("recipient\n+61491570006\n", {"budget": "100"}, "budget: is for gifts"),
        ("recipient\n+61491570006\n", {"sku": "X"}, "sku: is for gifts"),
        ("recipient\n+61491570006\n", {"region": "XX"}, "region: 'XX' is not a country"),
        ("recipient\n+61491570006\n", {"columns": {"phone": "recipient"}}, "map: there is no column 'phone'"),
        ("recipient\n+61491570006\n", {"channel": "fax"}, "channel: 'fax' is not one of sms, gift"),
        ("recipient\nnobody\n", {}, "file: no row of 1 can get a message"),
        (
            "recipient\n+61491570006\n",
            {"channel": "gift", "sku": "A", "amount": "5", "currency": "AUD", "budget": "0"},
            "budget: '0' must be greater than 0",
        ),
        (
            "recipient\n+61491570006\n",
            {"channel": "gift", "sku": "A", "amount": "5", "currency": "AUD", "budget": "-5"},
            "budget: '-5' is not a budget",
        ),
        ("recipient\n+61491570006\n", {"channel": "gift", "sku": "A", "amount": "5"}, "currency: is missing"),
        ("recipient\n+61491570006\n", {"channel": "gift", "sku": "A", "currency": "AUD"}, "amount: is neither given"),
    ],
)
def test_whatever_is_wrong_is_one_sentence_and_nothing_is_left_behind(
    campaigns: Campaigns, books: Books, tmp_path: Path, text: str, options: dict[str, object], sentence: str
) -> None:
    file = write(tmp_path / "x.csv", text)
    given = {"name": "x", "template": "Hi", **options}
    if options.get("channel") == "gift":
        given["template"] = None
    with pytest.raises(InvalidCampaign) as caught:
        campaigns.create(file, **given)  # type: ignore[arg-type]
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert loaded(books) == []
    assert campaigns.books.listed() == []


def test_a_start_in_the_past_is_refused(campaigns: Campaigns, clock: FakeClock) -> None:
    with pytest.raises(InvalidCampaign, match=r"starts_at: .* is past"):
        campaigns.create(numbers(1), name="x", template="Hi", starts_at=clock.now() - timedelta(seconds=1))


def test_what_has_finished_cannot_be_paused(engine: Engine, campaigns: Campaigns, clock: FakeClock) -> None:
    campaigns.create(numbers(1), name="x", template="Hi")
    campaigns.cancel("x")
    with pytest.raises(CampaignRefused, match="campaign 'x' is cancelled, so it cannot be paused; only a running"):
        campaigns.pause("x", reason="wait")
    with pytest.raises(CampaignRefused, match="cannot be resumed"):
        campaigns.resume("x")
    with pytest.raises(CampaignRefused, match="cannot be cancelled"):
        campaigns.cancel("x")


def test_a_ledger_that_goes_away_in_the_middle_costs_a_second_run(
    engine: Engine, clock: FakeClock, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CampaignBooks, "page_size", 100)
    campaigns = campaigns_on(engine, clock)
    real = CampaignBooks.load
    calls = iter(range(100))

    def sometimes(self: CampaignBooks, *args: object, **more: object) -> object:
        if next(calls) == 3:
            raise LedgerUnavailable("the ledger cannot be used now")
        return real(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(CampaignBooks, "load", sometimes)
    with pytest.raises(LedgerUnavailable):
        campaigns.create(rows(1000), name="spring", template="Hi")
    campaigns.create(rows(1000), name="spring", template="Hi")
    assert [m.recipient for m in loaded(books)] == numbers(1000)
