"""What a campaign is to be, checked before anything is written."""

from __future__ import annotations

from datetime import UTC, datetime

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
