"""Lists as CSV, and how many more match by now."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.ledger import By
from tests.campaigns.making import numbers
from tests.making import sms
from tests.web.conftest import Site
from tests.web.fates import fill


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_a_list_as_csv_has_every_row_and_no_number(site: Site) -> None:
    fill(site.services, dead=1200)  # more than are read at once
    found = site.get("/dead.csv", q="channel:sms")
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="dead.csv"' in found.headers["content-disposition"]
    lines = rows(found.content.decode("utf-8"))
    assert len({line["id"] for line in lines}) == len(lines) == 1200
    assert {line["state"] for line in lines} == {"dead"}
    assert "+6149157" not in found.text.replace("…", "")
    assert {line["last_status"] for line in lines} == {"422"}
    assert site.services.inspection_books.audit() == []


def test_numbers_are_given_to_who_may_see_them_and_that_is_noted(guarded: Site) -> None:
    fill(guarded.services, dead=3)
    guarded.sign_in("vera")
    assert guarded.get("/dead.csv").status_code == 200
    assert guarded.get("/dead.csv", numbers="1").status_code == 403
    guarded.visitor.cookies.clear()
    guarded.sign_in("otto")
    lines = rows(guarded.get("/dead.csv", numbers="1", q="channel:sms").content.decode("utf-8"))
    assert {line["recipient"].lstrip("'") for line in lines} == set(numbers(3))
    (entry,) = guarded.services.inspection_books.audit()
    assert (entry.actor, entry.action) == ("web:otto", "export numbers")
    assert "channel:sms" in entry.subject


def test_cells_that_a_spreadsheet_would_run_are_inert(site: Site) -> None:
    now = site.services.clock.now()
    message = sms(now)
    site.services.books.enqueue([message], source="test")
    site.services.books.cancel(message.id, By(actor="test", reason="=cmd|' /C calc'!A0", now=now))
    (line,) = rows(site.get("/messages.csv").content.decode("utf-8"))
    assert line["reason"] == "'=cmd|' /C calc'!A0"


def test_a_query_with_a_mistake_gives_no_file(site: Site) -> None:
    answer = site.get("/messages.csv", q="chanel:sms")
    assert answer.status_code == 400
    assert "did you mean channel?" in answer.text


def test_who_got_a_campaign(site: Site) -> None:
    made = site.services.campaigns("test").create(numbers(5), name="Spring & sale", template="Hi").campaign
    for path in (f"/campaigns/{made.id}/recipients.csv", "/campaigns/Spring%20&%20sale/recipients.csv"):
        lines = rows(site.get(path).content.decode("utf-8"))
        assert [line["state"] for line in lines] == ["queued"] * 5
    whole = rows(site.get(f"/campaigns/{made.id}/recipients.csv", numbers="1").content.decode("utf-8"))
    assert {line["recipient"].lstrip("'") for line in whole} == set(numbers(5))
    assert site.get("/campaigns/nobody/recipients.csv").status_code == 404


@pytest.mark.parametrize("which", ["messages", "dead"])
def test_a_list_tells_how_many_are_new(site: Site, which: str) -> None:
    fill(site.services, dead=5)
    page = site.get(f"/{which}", q="channel:sms").text
    assert 'data-fresh="/fresh?' in page
    since = site.services.clock.now() if which == "messages" else datetime.now(UTC) - timedelta(seconds=30)
    asked = {"list": which, "q": "channel:sms", "since": since.isoformat()}
    assert site.get("/fresh", **asked).json() == {"new": 0}
    if which == "messages":
        site.services.books.enqueue([sms(site.services.clock.now()) for _ in range(3)], source="test")
        assert site.get("/fresh", **asked).json() == {"new": 3}
    else:
        asked["since"] = (site.services.clock.now() - timedelta(minutes=2)).isoformat()
        assert site.get("/fresh", **asked).json() == {"new": 5}
    assert site.get("/fresh", **(asked | {"since": "x"})).status_code == 400
