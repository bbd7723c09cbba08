"""Searching for numbers: who may not see them cannot find them out digit by digit, and no address carries one."""

from __future__ import annotations

import re

import pytest
import requests

from dispatcher.domain.query import hide_private
from tests.making import NUMBER
from tests.web.conftest import Site
from tests.web.fates import fill

QUERIES = (
    f"to:{NUMBER}",
    "to:+614*",
    "-to:+614*",
    f'to:"{NUMBER}"',
    f"to={NUMBER}",
    f"state:dead to:{NUMBER},+61491570007",
    "to:*",
)
PREFIX = "+61411*"
PATHS = ("/messages", "/dead", "/messages.csv", "/dead.csv", "/plan", "/fresh")


@pytest.mark.parametrize("query", QUERIES)
def test_who_may_not_see_numbers_cannot_search_for_them_anywhere(guarded: Site, query: str) -> None:
    fill(guarded.services)
    guarded.sign_in("vera")
    for path in PATHS:
        answer = guarded.get(path, q=query, since="2020-01-01", list="dead", do="replay-all")
        assert answer.status_code == 403, path
        assert "/messages/0" not in answer.text
    for path in ("/messages", "/dead"):
        assert guarded.post(path, on="/messages", q=query).status_code == 403
    assert not [entry for entry in guarded.services.inspection_books.audit() if entry.action == "search numbers"]


@pytest.mark.parametrize("query", QUERIES)
def test_no_address_with_a_number_is_answered_whoever_asks(guarded: Site, query: str) -> None:
    fill(guarded.services)
    guarded.sign_in("otto")
    for path in PATHS:
        answer = guarded.get(path, q=query, since="2020-01-01", list="dead")
        assert answer.status_code in {400, 403}, path
        assert "/messages/0" not in answer.text


@pytest.mark.parametrize("path", ["/messages", "/dead"])
def test_who_may_see_numbers_searches_in_a_form_and_is_audited(guarded: Site, path: str) -> None:
    fill(guarded.services, dead=70)
    guarded.sign_in("otto")
    query = f"channel:sms state:dead to:{PREFIX}"
    answer = guarded.post(path, on="/messages", q=query)
    assert answer.status_code == 200
    assert answer.text.count('<tr data-href="/messages/') == 50
    (entry, *_) = guarded.services.inspection_books.audit()
    assert (entry.actor, entry.action) == ("web:otto", "search numbers")
    assert entry.subject == f"{path.strip('/')}:channel:sms state:dead to:…"
    links = addresses(answer)
    assert len(links) >= 2
    for link in links:
        assert PREFIX.strip("+*") not in link
        found = guarded.visitor.get(guarded.url + link, timeout=10)
        assert found.status_code == 200, link
    older = next(link for link in links if "before=" in link)
    assert guarded.visitor.get(guarded.url + older, timeout=10).text.count('<tr data-href="/messages/') == 20
    csv = next(link for link in links if ".csv" in link)
    assert guarded.visitor.get(guarded.url + csv, timeout=10).text.count("invalid_recipient") == 70


def test_a_link_to_a_search_for_numbers_opens_for_its_own_person_only(guarded: Site) -> None:
    fill(guarded.services, dead=70)
    guarded.sign_in("otto")
    link = addresses(guarded.post("/messages", on="/messages", q=f"to:{PREFIX}"))[0]
    for name in ("vera", "mona"):
        guarded.visitor.cookies.clear()
        guarded.sign_in(name)
        assert guarded.visitor.get(guarded.url + link, timeout=10).status_code == 403
    assert guarded.get("/messages", q="sealed:forged").status_code == 400


def test_a_plan_for_a_number_is_made_and_begun(guarded: Site) -> None:
    fill(guarded.services)
    guarded.sign_in("otto")
    page = guarded.post("/dead", on="/messages", q=f"channel:sms to:{PREFIX}")
    sealed = re.search(r'name="q" value="(sealed:[^"]+)"', page.text)
    assert sealed is not None
    plan = guarded.get("/plan", q=sealed[1], do="discard-all")
    assert "Discard 30 messages?" in plan.text
    form = dict(re.findall(r'type="hidden" name="(deed|q|seal|token)" value="([^"]*)"', plan.text))
    moved = guarded.post("/operations", reason="an old number", **form)
    assert moved.status_code == 303
    (operation,) = guarded.services.inspection_books.operations()
    assert operation.query == f"channel:sms to:{PREFIX}"
    guarded.visitor.cookies.clear()
    guarded.sign_in("vera")
    for path in ("/operations", f"/operations/{operation.id}", "/audit"):
        assert PREFIX not in guarded.get(path).text
    nothing = guarded.get("/plan", q="status:422", do="replay")
    assert "Nothing+was+selected" in nothing.headers["Location"]


def test_a_search_with_a_mistake_is_shown_and_goes_into_no_address(guarded: Site) -> None:
    guarded.sign_in("otto")
    answer = guarded.post("/messages", on="/messages", q=f"to:{NUMBER} chanel:sms")
    assert answer.status_code == 400
    assert "did you mean channel?" in answer.text


def test_a_search_without_numbers_leads_to_an_address_that_can_be_shared(guarded: Site) -> None:
    guarded.sign_in("vera")
    answer = guarded.post("/messages", on="/messages", q="state:dead status:422")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/messages?q=state%3Adead+status%3A422")
    assert "to</code>" not in guarded.get("/messages").text, "the help has what may be searched for"


def test_whoever_sees_a_number_is_in_the_audit_trail(guarded: Site) -> None:
    ids = fill(guarded.services)
    guarded.sign_in("vera")
    guarded.get(f"/messages/{ids['dead']}", reveal="1")
    assert not [entry for entry in guarded.services.inspection_books.audit() if entry.action == "reveal"]
    guarded.visitor.cookies.clear()
    guarded.sign_in("otto")
    guarded.get(f"/messages/{ids['dead']}", reveal="1")
    guarded.get(f"/messages/{ids['dead']}/edit")
    seen = [entry for entry in guarded.services.inspection_books.audit() if entry.action == "reveal"]
    assert [(entry.actor, entry.subject) for entry in seen] == [("web:otto", f"message:{ids['dead']}")] * 2


@pytest.mark.parametrize("query", QUERIES)
def test_queries_are_shown_without_their_numbers(query: str) -> None:
    shown = hide_private(f"state:dead {query} created:<2h")
    assert not re.search(r"[+*]|6149", shown)
    assert shown.startswith("state:dead ")
    assert shown.endswith("created:<2h")


def addresses(answer: requests.Response) -> list[str]:
    """Return the addresses of a page that lead on with its search."""
    return [link.replace("&amp;", "&") for link in re.findall(r'href="(/[^"]*sealed[^"]*)"', answer.text)]
