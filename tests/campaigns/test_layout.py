"""Columns: those that are used have to be clear, and all others may be called anything or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from dispatcher.campaigns.layout import Layout, lay_out, places_of
from dispatcher.domain.campaign import Wanted, check_campaign
from dispatcher.domain.errors import InvalidCampaign

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def laid_out(*columns: str, **wanted: Any) -> Layout:
    return lay_out(columns, check_campaign("x", cast("Wanted", {"template": "hi"} | wanted), now=NOW))


@pytest.mark.parametrize(
    "others",
    [
        ("",),
        ("", ""),
        ("name", "name"),
        ("#", "%"),
        ("Opt in?", "Opt-in"),
        ("Price ($)", "Price (\u20ac)"),
        ("NAME", "name", "N\u00c4ME"),
        ("\U0001f381", "\U0001f382"),
        ("0491570006",),
        ("recipient name", "recipient_name"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_columns_that_are_not_used_never_refuse_a_file(others: tuple[str, ...], first: bool) -> None:
    columns = ("recipient", *others) if first else (*others, "recipient")
    assert laid_out(*columns).recipient == columns.index("recipient")


@pytest.mark.parametrize(
    ("columns", "wanted", "sentence"),
    [
        (
            ("recipient", "Opt in?", "Opt-in"),
            {"template": "{opt in}"},
            "columns 'Opt in?' (column 2) and 'Opt-in' (column 3) are both opt_in; say which is meant, e.g. --map ",
        ),
        (
            ("recipient", "name", "name", "NAME"),
            {"template": "{name}"},
            "columns 'name' (column 2), 'name' (column 3) and 'NAME' (column 4) are all name; give them different",
        ),
        (
            ("Recipient", "recipient"),
            {},
            "columns 'Recipient' (column 1) and 'recipient' (column 2) are both recipient",
        ),
        (
            ("recipient", "SKU", "sku"),
            {"channel": "gift", "template": None, "amount": "5.00", "currency": "AUD"},
            "are both sku",
        ),
        (("name", ""), {}, "has no column 'recipient'; the file has name: say which it is, e.g. --map name=recipient"),
        (("", ""), {}, "has no column 'recipient'; the file names none"),
        (("+61491570006",), {}, "has no header"),
        (("Ann", "0491 570 006"), {}, "has no header"),
        (("Ann", "(04) 9157 0006"), {}, "has no header"),
        (("491570006", "Ann"), {"columns": {"491570006": "recipient"}}, "has no header"),
        (("recipient", "x"), {"columns": {"y": "name"}}, "there is no column 'y'; the file has recipient, x"),
        (("recipient", ""), {"template": "{name}"}, "{name} is no column of the file; the file has recipient"),
    ],
)
def test_a_column_that_is_used_has_to_be_clear(columns: tuple[str, ...], wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        laid_out(*columns, **wanted)
    assert sentence in str(refused.value)


def test_a_column_that_was_mapped_wins_over_those_that_are_called_so() -> None:
    assert laid_out("recipient", "Mobile", columns={"Mobile": "recipient"}).recipient == 1
    layout = laid_out("recipient", "Opt in?", "Opt-in", template="{opt in}", columns={"Opt-in": "opt_in"})
    assert layout.sent == (("Opt-in", 2),)


def test_a_mapping_finds_its_column_as_people_write_it() -> None:
    assert laid_out("Zoe\u0308", columns={"Zo\u00eb": "recipient"}).recipient == 0
    assert laid_out("MOBILE NO.", "mobile", columns={"mobile no": "recipient"}).recipient == 0
    assert laid_out("mobile", "Mobile", columns={"Mobile": "recipient"}).recipient == 1


def test_columns_of_another_file_are_found_the_same_way() -> None:
    assert places_of(("", "Mobile", "Reason", "x", "x"), {"Mobile": "recipient"}, also=("reason", "channel")) == {
        "recipient": 1,
        "reason": 2,
    }
    with pytest.raises(InvalidCampaign, match="are both reason"):
        places_of(("recipient", "reason", "Reason"), {}, also=("reason",))
