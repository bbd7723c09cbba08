"""What the pages show of a message that was redacted: that it was, and no way to send it."""

from __future__ import annotations

from datetime import timedelta

from dispatcher.admin import Pruning
from dispatcher.domain.retention import Ages
from dispatcher.ledger import RetentionBooks
from dispatcher.testing import FakeClock
from tests.web.conftest import Site
from tests.web.fates import fill


def test_a_redacted_message_is_shown_and_cannot_be_sent_again(site: Site) -> None:
    ids = fill(site.services)
    later = FakeClock(site.services.clock.now() + timedelta(days=31))
    number = str(site.services.books.message(ids["dead"]).recipient)
    books = RetentionBooks(engine=site.services.engine)
    list(Pruning(books=books, clock=later, actor="test").run(Ages(redact_days=30, remove_days=0), reason=None))
    assert site.services.books.message(ids["dead"]).redacted_at is not None
    for id_ in ids.values():
        assert site.get(f"/messages/{id_}", reveal="1").status_code == 200
    page = site.get(f"/messages/{ids['dead']}", reveal="1").text
    assert "number, words and answers were taken out, so it cannot be sent again" in page
    assert number not in page
    assert "/replay" not in page
    assert "As a command" not in page
    assert site.get(f"/messages/{ids['dead']}/edit").status_code == 409
    for path in ("/messages", "/dead"):
        assert "redacted" in site.get(path).text
    replay = site.post(f"/messages/{ids['dead']}/replay", on="/in-doubt", reason="x")
    assert replay.status_code == 409
    assert "redacted," in site.get("/dead.csv", numbers="1").text
