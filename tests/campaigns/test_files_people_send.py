"""Files as people send them: what spreadsheets, databases and copying leave in them, from the file to the message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from dispatcher.campaigns import Campaigns, DryRun
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.message import Channel
from dispatcher.ledger import CampaignBooks, SqlLedger
from dispatcher.ledger.engine import reading
from dispatcher.ledger.tables import LANES, MESSAGES
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers, write
from tests.making import wish

SUMMER = datetime(2026, 11, 24, 12, tzinfo=UTC)  # in Australia, at night


@pytest.fixture
def campaigns(engine: Engine, clock: FakeClock) -> Campaigns:
    return campaigns_on(engine, clock)


def bodies(engine: Engine) -> list[str | None]:
    with reading(engine) as connection:
        return list(connection.execute(select(MESSAGES.c.body).order_by(MESSAGES.c.id)).scalars())


def reported(campaigns: Campaigns, tmp_path: Path, text: str, template: str, **wanted: Any) -> DryRun:
    return campaigns.dry_run(write(tmp_path / "x.csv", text), template=template, **wanted)


def test_rows_without_their_last_delimiters_are_whole_rows(
    campaigns: Campaigns, engine: Engine, tmp_path: Path
) -> None:
    text = (
        "recipient,first_name,offer\r\n+61491570006,Ann,\r\n+61491570156,Ben\r\n,,\r\n+61491570157,Cleo,,,\r\n"
        "+61491570158,Dee,20,x\r\n"
    )
    found: list[Any] = []
    made = campaigns.create(
        write(tmp_path / "x.csv", text), name="x", template="Hi {first_name}{offer|}", on_invalid=found.extend
    )
    assert (made.campaign.total, bodies(engine)) == (3, ["Hi Ann", "Hi Ben", "Hi Cleo"])
    assert [(row.line, row.reason) for row in found] == [(6, "has 4 cells where the header has 3")]


def test_a_column_without_a_name_may_hold_anything(campaigns: Campaigns, tmp_path: Path) -> None:
    assert (
        reported(campaigns, tmp_path, ",recipient,\n0,+61491570006,called twice\n1,+61491570156,\n", "hi").recipients
        == 2
    )


def test_line_ends_of_a_cell_are_one_character(campaigns: Campaigns, engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", 'recipient,note\r\n+61491570006,"one\r\ntwo\rthree"\r\n')
    campaigns.create(file, name="x", template="a\r\nb {note}")
    assert bodies(engine) == ["a\nb one\ntwo\nthree"]


def test_cells_that_say_that_there_is_no_value_are_counted(campaigns: Campaigns, tmp_path: Path) -> None:
    text = (
        "recipient,first_name,last_name,unused\n+61491570006,NULL,#N/A,NULL\n+61491570156,NULL,Smith,NULL\n"
        "+61491570157,-,\\N,NULL\n+61491570158,\u200b,\u00a0,NULL\n+61491570006,nan,nan,\n"
    )
    report = reported(campaigns, tmp_path, text, "Hi {first_name|there} {last_name|}")
    assert report.placeholders == (
        ("first_name", "NULL", 2),
        ("last_name", "#N/A", 1),
        ("first_name", "-", 1),
        ("last_name", "\\N", 1),
    )
    first, last = [warning for warning in report.warnings if "no value" in warning]
    assert "column 'first_name' says in 3 messages" in first
    assert "NULL (2), - (1)" in first
    assert "#N/A (1), \\N (1)" in last
    assert report.samples[2].text == "Hi - \\N"


def test_a_gift_with_such_a_sku_or_note_is_counted_too(campaigns: Campaigns, tmp_path: Path) -> None:
    text = "recipient,sku,note\n+61491570006,NULL,n/a\n"
    report = reported(campaigns, tmp_path, text, "", channel="gift", amount="5.00", currency="AUD")
    assert {column for column, _, _ in report.placeholders} == {"sku", "note"}


def test_braces_that_are_sent_are_told_in_the_dry_run_and_after_it(campaigns: Campaigns, tmp_path: Path) -> None:
    text, template = "recipient,first_name\n+61491570006,Ann\n", "Hi {{first_name}}"
    sentence = "{{first_name}} is sent literally, as {first_name}; to send the cell of a column write {first_name}"
    assert reported(campaigns, tmp_path, text, template).warnings == (sentence,)
    assert campaigns.create(write(tmp_path / "x.csv", text), name="x", template=template).warnings == (sentence,)
    assert reported(campaigns, tmp_path, text, "Hi {first_name}").warnings == ()


def test_decomposed_text_is_sent_composed_and_counted(campaigns: Campaigns, engine: Engine, tmp_path: Path) -> None:
    decomposed = "e\u0301" * 100
    text = f"recipient,name\n+61491570006,{decomposed}\n+61491570156,Ann\n"
    report = reported(campaigns, tmp_path, text, "{name}")
    assert (report.composed, report.parts, report.culprits) == (1, 2, ())
    campaigns.create(write(tmp_path / "x.csv", text), name="x", template="{name}")
    assert bodies(engine) == ["\u00e9" * 100, "Ann"]


def test_a_setting_sends_texts_as_they_were_written(engine: Engine, clock: FakeClock, tmp_path: Path) -> None:
    campaigns = campaigns_on(engine, clock, normalize=False)
    text = "recipient,name\n+61491570006,Zoe\u0308\n"
    assert reported(campaigns, tmp_path, text, "{name}").composed == 0
    campaigns.create(write(tmp_path / "x.csv", text), name="x", template="{name}")
    assert bodies(engine) == ["Zoe\u0308"]


def test_a_morning_in_australia_is_sent_between_nine_and_twelve(
    campaigns: Campaigns, engine: Engine, clock: FakeClock, tmp_path: Path
) -> None:
    clock.set(SUMMER)
    file = write(tmp_path / "x.csv", "recipient,name\n+61491570006,Ann\n+61491570156,Ben\n")
    report = campaigns.dry_run(file, template="Hi {name}", window="09:00-12:00")
    assert (report.recipients, report.never_open) == (2, 0)
    (opening,) = report.openings
    assert (opening.recipients, opening.left_out) == (2, ("Australia/Perth",))
    assert opening.opens_at == datetime(2026, 11, 24, 23, tzinfo=UTC)  # 09:00 in Brisbane, 10:00 in Sydney
    assert any("not by Australia/Perth, where about 11% of such numbers are" in each for each in report.warnings)
    made = campaigns.create(file, name="x", template="Hi {name}", window="09:00-12:00")
    assert any("Australia/Perth" in each for each in made.warnings)
    campaigns.start("x")
    ledger = SqlLedger.on(engine)
    assert ledger.claim(wish(clock.now())).messages == []
    clock.set(opening.opens_at)
    assert len(ledger.claim(wish(clock.now())).messages) == 2


def test_rows_whose_window_never_opens_are_invalid_before_anything_is_written(
    campaigns: Campaigns, engine: Engine, clock: FakeClock, tmp_path: Path
) -> None:
    clock.set(SUMMER)
    file = write(tmp_path / "x.csv", "recipient\n+61491570006\n+33612345678\n+79161234567\n")
    report = campaigns.dry_run(file, template="Hi", window="09:00-10:00")
    assert (report.recipients, report.invalid, report.never_open) == (1, 2, 2)
    australia, russia = report.first_invalid
    assert "window is never open before the messages expire, 2026-12-24" in australia.reason
    assert "Australia/Perth to Australia/Sydney" in australia.reason
    assert "Europe/Moscow to Asia/Vladivostok" in russia.reason
    campaigns.create(file, name="x", template="Hi", window="09:00-10:00")
    with reading(engine) as connection:
        assert connection.execute(select(MESSAGES.c.recipient)).scalars().all() == ["+33612345678"]
        assert connection.execute(select(LANES.c.zones)).scalars().all() == ["Europe/Paris"]
    with pytest.raises(InvalidCampaign, match="no row of 1 can get a message; first line 1: window is never open"):
        campaigns.create(["+61491570006"], name="y", template="Hi", window="09:00-10:00")


def test_a_window_in_one_zone_that_never_opens_is_refused(campaigns: Campaigns, clock: FakeClock) -> None:
    clock.set(SUMMER)  # a Tuesday
    expires = SUMMER + timedelta(days=2)
    for call in (campaigns.dry_run, campaigns.create):
        with pytest.raises(
            InvalidCampaign, match="window: Sat 09:00-12:00 UTC is never open before the messages expire"
        ):
            call(numbers(1), name="x", template="Hi", window="Sat 09:00-12:00 UTC", expires_at=expires)
    made = campaigns.create(numbers(1), name="x", template="Hi", window="Sat 09:00-12:00 UTC")
    with pytest.raises(InvalidCampaign, match="its window, Sat 09:00-12:00 UTC, is never open between then and"):
        campaigns.start(made.id, at=SUMMER + timedelta(days=29))


def test_progress_says_until_when_a_window_is_closed(campaigns: Campaigns, engine: Engine, clock: FakeClock) -> None:
    clock.set(SUMMER)
    ledger = SqlLedger.on(engine)
    made = campaigns.create(
        ["+33612345678", "+6421123456", "+12125550123"], name="x", template="Hi", window="09:00-17:00"
    )
    assert campaigns.progress(made.id).closed_in_words is None, "it does not run"
    campaigns.start(made.id)
    assert campaigns.progress(made.id).closed_in_words is None, "it is 13:00 in Paris"
    assert len(ledger.claim(wish(clock.now())).messages) == 1
    assert campaigns.progress(made.id).closed_in_words == "closed until 2026-11-24 14:00:00 UTC"  # New York
    assert [each.closed_in_words for each in campaigns.listed()] == ["closed until 2026-11-24 14:00:00 UTC"]
    clock.set(datetime(2026, 11, 24, 14, tzinfo=UTC))
    assert campaigns.progress(made.id).closed is None
    assert len(ledger.claim(wish(clock.now())).messages) == 1
    clock.set(datetime(2026, 11, 25, 5, tzinfo=UTC))  # the evening in Auckland, before the clock looked again
    assert campaigns.progress(made.id).closed_in_words == "closed until 2026-11-25 20:00:00 UTC"
    assert CampaignBooks(engine=engine).closed(now=clock.now(), campaigns=[]) == []


def test_a_window_that_does_not_open_again_says_so(campaigns: Campaigns, clock: FakeClock) -> None:
    clock.set(SUMMER)
    expires = SUMMER + timedelta(hours=6)
    made = campaigns.create(
        ["+33612345678"], name="x", template="Hi", window="09:00-17:00 Europe/Paris", expires_at=expires
    )
    campaigns.start(made.id)
    clock.set(SUMMER + timedelta(hours=5))
    assert campaigns.progress(made.id).closed_in_words == "closed until the messages expire"


def test_a_campaign_without_a_window_is_never_closed(campaigns: Campaigns, clock: FakeClock) -> None:
    made = campaigns.create(numbers(1), name="x", template="Hi")
    campaigns.start(made.id)
    assert campaigns.progress(made.id).closed is None


def test_every_channel_reads_a_file_the_same_way(campaigns: Campaigns, tmp_path: Path) -> None:
    text = "sep=;\n;recipient;amount;note\n0;+61491570006;5.00;Zoe\u0308\n1;+61491570156;5.00\n"
    for channel, template in ((Channel.SMS, "Hi {note|you}"), (Channel.GIFT, "")):
        gift = {"sku": "CARD", "currency": "AUD"} if channel is Channel.GIFT else {}
        report = reported(campaigns, tmp_path, text, template, channel=channel.value, **gift)
        assert (report.recipients, report.composed) == (2, 1)
