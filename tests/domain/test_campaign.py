"""What a campaign is to be, checked before anything is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import cast

import pytest

from dispatcher.domain.campaign import Wanted, check_campaign
from dispatcher.domain.errors import InvalidCampaign

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize("broken", ["a\x00b", "a\ud800b"])
@pytest.mark.parametrize("part", ["name", "template", "map"])
def test_what_no_database_keeps_is_refused_by_the_name_of_its_part(part: str, broken: str) -> None:
    wanted: Wanted = {"template": broken if part == "template" else "Hi"}
    if part == "map":
        wanted["columns"] = {"phone": "recipient", broken: "code"}
    with pytest.raises(InvalidCampaign) as caught:
        check_campaign(broken if part == "name" else "spring", wanted, now=NOW)
    assert caught.value.field == part


@pytest.mark.parametrize(
    ("part", "says"),
    [("budgett", "did you mean budget?"), ("Budget", "did you mean budget?"), ("xyz", "there are channel, ")],
)
def test_an_argument_that_is_no_part_of_a_campaign_is_refused(part: str, says: str) -> None:
    wanted = cast("Wanted", {"template": "Hi", part: "1"})
    with pytest.raises(InvalidCampaign, match=rf"{part}: is no part of a campaign; .*{re.escape(says)}"):
        check_campaign("spring", wanted, now=NOW)


@pytest.mark.parametrize(("budget", "amount"), [("15,00", "5"), ("5_00", "5"), ("100.00", "1.000"), ("100.00", "1E2")])
def test_money_of_a_campaign_is_read_as_money_of_a_gift(budget: str, amount: str) -> None:
    wanted: Wanted = {"channel": "gift", "sku": "A", "currency": "EUR", "budget": budget, "amount": amount}
    with pytest.raises(InvalidCampaign, match=r": write (15\.00|500\.00|1000\.00 or 1\.00|100\.00)"):
        check_campaign("spring", wanted, now=NOW)
