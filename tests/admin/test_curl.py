"""The command that repeats a message's call: without what lists mask, unless it is revealed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.admin import as_curl
from dispatcher.wiring import Services
from tests.making import gift
from tests.web.conftest import settings_of

NOTE = "Thank you"


@pytest.mark.parametrize("reveal", [False, True])
def test_a_gifts_note_is_masked_unless_it_is_revealed(
    ledger_url: str, valkey: str, tmp_path: Path, reveal: bool
) -> None:
    services = Services(settings_of(ledger_url, valkey, tmp_path / "home"))
    card = gift(services.clock.now(), "order-1")
    services.books.enqueue([card], source="test")
    found = services.books.message(card.id)
    assert found.gift is not None
    found = replace(found, gift=replace(found.gift, note=NOTE))
    shown = as_curl(found, services.endpoints[found.channel], base_url="http://127.0.0.1:9", reveal=reveal)
    services.close()
    assert (NOTE in shown) is reveal
