"""Edit and replay, replay at a moment: the same checks as when a message is enqueued, the old content in the audit."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from dispatcher.admin import MessageEdit
from dispatcher.domain.errors import InvalidMessage, TransitionRefused
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.ports import ClaimRequest
from tests.campaigns.making import numbers
from tests.making import outcome, settled, wish
from tests.web.conftest import Site
from tests.web.fates import NASTY, fill

NUMBER, TEXT = "+61491570156", "Parcel 7 is here,\nat the “post office”"


def test_a_message_is_put_right_and_sent_again(site: Site) -> None:
    id_ = fill(site.services)["dead"]
    was = site.services.books.message(id_)
    form = site.get(f"/messages/{id_}/edit")
    assert form.status_code == 200
    assert f'value="{was.recipient}"' in form.text
    sent = site.post(
        f"/messages/{id_}/edit",
        on=f"/messages/{id_}/edit",
        recipient=NUMBER,
        body=TEXT.replace("\n", "\r\n"),
        reason="a digit was missing",
    )
    assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, f"/messages/{id_}")
    now = site.services.books.message(id_)
    assert (now.state, str(now.recipient), now.body, now.revision) == (State.QUEUED, NUMBER, TEXT, 1)
    assert now.max_attempts == was.attempts_made + site.services.settings.max_attempts
    (entry,) = site.services.inspection_books.audit(subject=str(id_))
    assert (entry.action, entry.reason) == ("edit and replay", "a digit was missing")
    assert entry.details == {"was": {"recipient": str(was.recipient), "body": was.body}}
    page = site.get(f"/messages/{id_}", reveal="1").text
    assert "Before it was edited" in page
    assert str(was.recipient) in page
    assert str(was.recipient) not in site.get(f"/messages/{id_}").text
    assert str(was.recipient) not in site.get("/audit").text


def test_the_api_gets_another_key_for_another_content(site: Site) -> None:
    id_ = fill(site.services)["dead"]
    operator = site.services.operator("test")
    operator.replay(id_, reason=None)
    first = next(each for each in site.services.ledger.claim(_all(site)).messages if each.id == id_)
    assert first.api_key == str(id_)
    site.services.ledger.settle([settled(first, outcome(OutcomeKind.REJECTED), site.services.clock.now())])
    operator.replay(id_, reason=None, changes=MessageEdit(body="Another text"))
    again = next(each for each in site.services.ledger.claim(_all(site)).messages if each.id == id_)
    assert (again.api_key, again.body) == (f"{id_}.1", "Another text")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("recipient", "+1234", "is not"),
        ("body", "   ", "is empty"),
        ("body", "x" * 5000, "takes"),
        ("at", "2020-01-01T00:00", "is past"),
        ("at", "9999-12-31T23:59", "more than ten years"),
        ("at", "tomorrow", "is not a moment"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_changes_nothing(
    site: Site, field: str, value: str, says: str
) -> None:
    id_ = fill(site.services)["dead"]
    before = site.services.books.message(id_)
    typed = {"recipient": NUMBER, "body": "Right", "reason": "why not", field: value}
    answer = site.post(f"/messages/{id_}/edit", on=f"/messages/{id_}/edit", **typed)
    assert answer.status_code == 400
    assert f'id="wrong-{field}"' in answer.text
    assert says in answer.text
    assert 'value="+61491570156"' in answer.text or field == "recipient"
    assert site.services.books.message(id_) == before


def test_a_gift_is_put_right_only_by_who_may_move_money(guarded: Site) -> None:
    id_ = fill(guarded.services)["dead_gift"]
    wanted = {"recipient": NUMBER, "sku": "CARD-50", "amount": "12.50", "currency": "AUD", "note": ""}
    for name, code in (("vera", 403), ("otto", 403), ("mona", 303)):
        guarded.visitor.cookies.clear()
        guarded.sign_in(name)
        assert guarded.get(f"/messages/{id_}/edit").status_code == (200 if name == "mona" else 403)
        on = f"/messages/{id_}/edit" if name == "mona" else "/"
        assert guarded.post(f"/messages/{id_}/edit", on=on, reason="wrong card", **wanted).status_code == code
    gift = guarded.services.books.message(id_).gift
    assert gift is not None
    assert (gift.sku, str(gift.amount)) == ("CARD-50", "12.50")


def test_a_gift_that_may_have_been_carried_out_is_not_edited(site: Site) -> None:
    id_ = fill(site.services)["in_doubt"]
    with pytest.raises(TransitionRefused):
        site.services.operator("test").replay(id_, reason="no", changes=MessageEdit(amount="1.00"))
    with pytest.raises(InvalidMessage, match="body"):
        site.services.operator("test").replay(id_, reason="no", changes=MessageEdit(body="a gift has none"))


def test_a_message_of_a_campaign_keeps_its_number(site: Site) -> None:
    campaigns, ledger = site.services.campaigns("test"), site.services.ledger
    made = campaigns.create(numbers(2), name="spring", template="Hi").campaign
    campaigns.start(made.id)
    claimed = ledger.claim(_all(site)).messages
    now = site.services.clock.now()
    ledger.settle([settled(each, outcome(OutcomeKind.REJECTED), now) for each in claimed])
    operator = site.services.operator("test")
    with pytest.raises(TransitionRefused, match="only to its own number"):
        operator.replay(claimed[0].id, reason="no", changes=MessageEdit(recipient=NUMBER))
    operator.replay(claimed[0].id, reason="yes", changes=MessageEdit(body="Hello"))
    assert site.services.books.message(claimed[0].id).body == "Hello"


def test_one_is_replayed_at_a_moment(site: Site) -> None:
    id_ = fill(site.services)["dead"]
    at = (site.services.clock.now() + timedelta(hours=3)).replace(second=0, microsecond=0)
    sent = site.post(f"/messages/{id_}/replay", on=f"/messages/{id_}", at=f"{at:%Y-%m-%dT%H:%M}", reason="later")
    assert sent.status_code == 303
    message = site.services.books.message(id_)
    assert (message.state, message.due_at) == (State.QUEUED, at)
    assert message.expires_at > at + timedelta(hours=24)
    assert id_ not in {each.id for each in site.services.ledger.claim(_all(site)).messages}


def test_a_plan_takes_a_moment_and_a_rate(site: Site) -> None:
    fill(site.services)
    page = site.get("/plan", q="channel:sms").text
    seal = page.partition('name="seal" value="')[2].partition('"')[0]
    form = {"deed": "replay", "q": "channel:sms", "seal": seal, "reason": "over"}
    for wrong in ({"per_second": "fast"}, {"per_second": "-1"}, {"at": "2020-01-01T00:00"}, {"at": "x"}):
        assert site.post("/operations", on="/plan?q=channel:sms", **form, **wrong).status_code == 400
    at = (site.services.clock.now() + timedelta(hours=1)).replace(second=0, microsecond=0)
    begun = site.post(
        "/operations", on="/plan?q=channel:sms", **form, per_second="2.5", at=at.replace(tzinfo=None).isoformat()
    )
    operation = site.services.inspection_books.operation(UUID(begun.headers["location"].rpartition("/")[2]))
    assert (operation.pace.at, operation.pace.per_second) == (at, 2.5)
    assert "2.5 a second" in site.get(begun.headers["location"]).text


def test_a_call_is_shown_as_a_command_without_its_secrets(site: Site) -> None:
    ids = fill(site.services)
    masked = site.get(f"/messages/{ids['queued']}").text
    assert "curl -X POST http://127.0.0.1:9/sendSMS" in masked
    assert "Bearer $TOKEN" in masked
    assert f"Idempotency-Key: {ids['queued']}" in masked
    assert "+61491570006" not in masked
    assert "alert" not in masked
    revealed = site.get(f"/messages/{ids['queued']}", reveal="1").text
    assert "+61491570006" in revealed
    assert NASTY[:8] not in revealed
    assert "may pay the gift a second time" in site.get(f"/messages/{ids['dead_gift']}").text


def _all(site: Site) -> ClaimRequest:
    return wish(site.services.clock.now(), Channel.SMS, count=500)
