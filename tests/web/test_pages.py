"""The pages over HTTP: what they show, what they do, who may, and what they never let in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests
from redis import Redis

from dispatcher.domain.errors import SettingsError
from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Stage
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.web import make_web, serve_web
from dispatcher.web.guard import HEADERS
from dispatcher.web.people import read_people
from dispatcher.wiring import Services
from tests.campaigns.making import numbers
from tests.making import outcome, settled, sms, wish
from tests.servers import free_port
from tests.web.conftest import HASH, Site, serve, settings_of
from tests.web.fates import NASTY, fill

PAGES = (
    "/",
    "/messages",
    "/dead",
    "/in-doubt",
    "/campaigns",
    "/operations",
    "/audit",
    "/plan",
    "/messages?q=state:dead",
)


@pytest.mark.parametrize("filled", [False, True])
def test_every_page_shows_itself_empty_and_full(site: Site, *, filled: bool) -> None:
    if filled:
        ids = fill(site.services)
        campaigns = site.services.campaigns("test")
        made = campaigns.create(numbers(3), name="Spring & <b>sale</b>", template="Hi").campaign
        campaigns.start(made.id)
        pages = (*PAGES, *(f"/messages/{id_}" for id_ in ids.values()), f"/campaigns/{made.id}")
    else:
        pages = PAGES
    for path in pages:
        answer = site.get(path)
        assert answer.status_code == 200, path
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "<script>alert" not in answer.text
        assert "<b>sale" not in answer.text
        assert "style=" not in answer.text
        assert " onclick" not in answer.text


def test_numbers_and_texts_are_masked_until_they_are_asked_for(site: Site) -> None:
    id_ = fill(site.services)["queued"]
    masked = site.get(f"/messages/{id_}").text
    assert "+61491570006" not in masked
    assert "alert" not in masked
    assert "+61491570006" in site.get(f"/messages/{id_}", reveal="1").text


def test_a_query_with_a_mistake_is_answered_with_its_place(site: Site) -> None:
    answer = site.get("/dead", q="status:5xx chanel:sms")
    assert answer.status_code == 400
    assert "At character 12: there is no field &#39;chanel&#39;; did you mean channel?" in answer.text


def test_the_same_query_gives_the_same_rows_as_python(site: Site) -> None:
    fill(site.services)
    query = "channel:sms status:422"
    rows = site.services.operator("test").search(f"state:dead,expired {query}", limit=1000)
    text = site.get("/dead", q=query).text
    assert [text.index(str(row.id)) for row in rows] == sorted(text.index(str(row.id)) for row in rows)


def test_older_rows_follow_on_the_next_page(site: Site) -> None:
    fill(site.services, dead=70)
    first = site.get("/dead", q="channel:sms").text
    assert first.count('name="id"') == 50
    before = first.split("before=")[1].split('"')[0]
    second = site.get("/dead", q="channel:sms", before=before).text
    assert second.count('name="id"') == 20


def test_a_group_is_planned_and_replayed_as_an_operation(site: Site) -> None:
    fill(site.services)
    assert "invalid_recipient: …" not in site.get("/dead").text
    plan = site.get("/plan", q="status:422")
    assert "Replay 30 messages?" in plan.text
    seal = plan.text.split('name="seal" value="')[1].split('"')[0]
    form = {"deed": "replay", "q": "status:422", "seal": seal, "reason": "numbers corrected"}
    moved = site.post("/operations", on="/plan?q=status:422", **form)
    assert moved.status_code == 303
    (operation,) = site.services.inspection_books.operations()
    assert moved.headers["Location"] == f"/operations/{operation.id}"
    while site.services.operator("test").drive(operation.id):
        pass
    page = site.get(f"/operations/{operation.id}").text
    assert "30</strong> of 30 done" in page
    assert site.services.inspection_books.operation(operation.id).state is Stage.DONE
    assert "web:local" in site.get("/audit").text


@pytest.mark.parametrize(("field", "value"), [("q", ""), ("seal", "1.abc"), ("deed", "discard"), ("seal", "")])
def test_a_plan_that_was_not_shown_is_not_begun(site: Site, field: str, value: str) -> None:
    fill(site.services)
    seal = site.get("/plan", q="status:422").text.split('name="seal" value="')[1].split('"')[0]
    form = {"deed": "replay", "q": "status:422", "seal": seal, "reason": "x"} | {field: value}
    answer = site.post("/operations", on="/plan?q=status:422", **form)
    assert answer.status_code == 409
    assert "look at it again" in answer.text
    assert site.services.inspection_books.operations() == []


def test_nothing_selected_is_not_everything(site: Site) -> None:
    fill(site.services)
    for deed in ("replay", "discard"):
        answer = site.get("/plan", q="status:422", do=deed)
        assert answer.status_code == 303
        assert "Nothing+was+selected" in answer.headers["Location"]
    assert "Discard 30 messages?" in site.get("/plan", q="status:422", do="discard-all").text
    assert site.get("/plan", do="replay", id="nonsense").status_code == 404


def test_a_plan_grows_old(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site.services)
    seal = site.get("/plan", q="status:422").text.split('name="seal" value="')[1].split('"')[0]
    token, real = site.token("/plan?q=status:422"), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 16 * 60)
    form = {"deed": "replay", "q": "status:422", "seal": seal, "reason": "x", "token": token}
    assert site.post("/operations", **form).status_code == 409


def test_a_gift_in_doubt_is_answered_for_with_a_reason(site: Site) -> None:
    id_ = fill(site.services)["in_doubt"]
    form = {"answer": "sent", "provider_id": "p-77"}
    assert site.post(f"/messages/{id_}/resolve", on="/in-doubt", **form).status_code == 400
    assert site.post(f"/messages/{id_}/resolve", on="/in-doubt", reason="seen", **form).status_code == 303
    message = site.services.books.message(id_)
    assert (message.state, message.provider_id) == (State.ACCEPTED, "p-77")
    assert "Nothing is in doubt" in site.get("/in-doubt").text


def test_a_channel_is_paused_and_opened(site: Site) -> None:
    assert site.post("/channels/gift/pause", on="/", reason="fraud").status_code == 303
    assert "gift is paused by web:local: fraud" in site.get("/").text
    assert [pause.channel for pause in site.services.books.pauses(now=site.services.clock.now())] == [Channel.GIFT]
    site.post("/channels/gift/resume", on="/")
    assert "gift is paused" not in site.get("/").text


def test_a_campaign_is_started_paused_and_cancelled(site: Site) -> None:
    campaigns = site.services.campaigns("test")
    id_ = campaigns.create(numbers(5), name="spring", template="Hi").campaign.id
    page = f"/campaigns/{id_}"
    for act, state in (("start", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert site.post(f"{page}/{act}", on=page, reason="because").headers["Location"] == page
        assert campaigns.books.find(id_).state == state
    refused = site.post(f"{page}/pause", on="/", reason="x")
    assert refused.status_code == 409
    assert "is cancelled, so it cannot be paused" in refused.text


def test_what_is_not_there_is_said_to_be_so(site: Site) -> None:
    for path in ("/nope", "/messages/nope", f"/messages/{numbers(1)[0]}", "/operations/1", "/campaigns/none"):
        answer = site.get(path)
        assert answer.status_code == 404
        assert "Not there" in answer.text
    assert site.post("/channels/fax/pause", on="/", reason="x").status_code == 404
    assert site.post("/operations/nonsense/abort", on="/").status_code == 404
    assert site.post("/operations", on="/", deed="nonsense").status_code == 404


def test_nothing_is_done_for_another_site_or_without_the_forms_token(site: Site) -> None:
    token = site.token("/")
    for foreign in ("cross-site", "same-site", "none"):
        answer = site.post("/channels/gift/pause", site=foreign, token=token, reason="x")
        assert answer.status_code == 403
    for bad in ("", "0" * 64, token[:-1]):
        assert site.post("/channels/gift/pause", token=bad, reason="x").status_code == 403
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        form = {"token": token, "reason": "x"}
        answer = requests.post(f"{site.url}/channels/gift/pause", data=form, headers=headers, timeout=5)
        assert answer.status_code == 403
    own = requests.post(f"{site.url}/channels/gift/pause", data=form, headers={"Origin": site.url}, timeout=5)
    assert own.status_code == 200
    rebound = requests.get(site.url, headers={"Host": "evil.example"}, timeout=5)
    assert rebound.status_code == 403


def test_nobody_sees_anything_before_signing_in(guarded: Site) -> None:
    for path in PAGES:
        answer = guarded.get(path)
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/sign-in?next=")
    assert guarded.get("/metrics").status_code == 303
    assert guarded.get("/healthz").text == "ok"
    assert guarded.post("/channels/gift/pause", reason="x", token="").status_code == 401


def test_signing_in_leads_back_and_out_again(guarded: Site) -> None:
    answer = guarded.sign_in("mona", next="/dead?q=x")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dead?q=x")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert guarded.get("/dead").status_code == 200
    guarded.post("/sign-out", on="/")
    assert guarded.get("/dead").status_code == 303
    assert guarded.sign_in("mona", next="https://evil.example").headers["Location"] == "/"


def test_a_forged_or_foreign_session_is_nobodys(guarded: Site) -> None:
    for cookie in ("x", "WyJtb25hIiwiTU9ORVkiLCIxIl0.aaaa.bbbb"):
        answer = requests.get(
            f"{guarded.url}/", cookies={"dispatcher_session": cookie}, timeout=5, allow_redirects=False
        )
        assert answer.status_code == 303


def test_wrong_names_and_passwords_are_told_alike_and_limited(guarded: Site) -> None:
    pages = [guarded.sign_in(name, "wrong").text.replace(name, "") for name in ("mona", "nobody")]
    texts = {page.split("<footer")[0] for page in pages}  # below it stands the time
    assert len(texts) == 1
    for _ in range(4):
        assert guarded.sign_in("mona", "wrong").status_code == 401
    assert guarded.sign_in("mona").status_code == 429, "too many guesses: even the right one has to wait"


def test_roles_hold(guarded: Site) -> None:
    ids = fill(guarded.services)
    guarded.sign_in("vera")
    assert "Pause" not in guarded.get("/").text
    assert "+61491570006" not in guarded.get(f"/messages/{ids['queued']}", reveal="1").text
    token = guarded.token("/")
    assert guarded.post(f"/messages/{ids['dead']}/replay", token=token).status_code == 403
    guarded.visitor.cookies.clear()
    guarded.sign_in("otto")
    assert guarded.post(f"/messages/{ids['dead']}/replay", on="/").status_code == 303
    assert guarded.post(f"/messages/{ids['dead_gift']}/replay", on="/").status_code == 403
    answer = guarded.post(f"/messages/{ids['in_doubt']}/resolve", on="/", answer="sent", reason="x")
    assert answer.status_code == 403
    seal = guarded.get("/plan", q="").text.split('name="seal" value="')[1].split('"')[0]
    form = {"deed": "replay", "q": "", "seal": seal, "reason": "x"}
    assert guarded.post("/operations", on="/plan", **form).status_code == 403, "there is a gift in it"
    guarded.visitor.cookies.clear()
    guarded.sign_in("mona")
    assert guarded.post(f"/messages/{ids['in_doubt']}/resolve", on="/", answer="sent", reason="x").status_code == 303


def test_the_pages_refuse_to_be_open_to_all(sqlite_ledger: str, valkey: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"names nobody, and 0\.0\.0\.0 is open"):
        serve_web(settings_of(sqlite_ledger, valkey, tmp_path), host="0.0.0.0", port=0)


@pytest.mark.parametrize("text", ["olga", "olga:boss:$argon2id$x", "olga:viewer:plain"])
def test_people_that_cannot_be_read_stop_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="is not name:role:hash"):
        read_people(text)
    assert set(read_people(f" olga:viewer:{HASH} ;\nmona:payments:{HASH}").hashes) == {"olga", "mona"}


def test_readiness_tells_what_is_away(site: Site, redis: Redis) -> None:
    assert (site.get("/readyz").status_code, site.get("/readyz").json()) == (200, {"ledger": "ok", "redis": "ok"})


def test_readiness_without_redis(sqlite_ledger: str, tmp_path: Path) -> None:
    from tests.web.conftest import serve

    services = Services(settings_of(sqlite_ledger, "redis://127.0.0.1:9/0", tmp_path))
    for url in serve(services):
        site = Site(url=url, services=services)
        assert site.get("/readyz").status_code == 503
        assert site.get("/").status_code == 200, "the ledger is there, so the pages are"
        assert "dispatcher_redis_up 0.0" in site.get("/metrics").text


def test_metrics_tell_what_happened(site: Site) -> None:
    fill(site.services)
    text = site.get("/metrics").text
    for line in (
        'dispatcher_messages{channel="sms",priority="transactional",state="dead"} 30.0',
        'dispatcher_messages{channel="gift",priority="transactional",state="in_doubt"} 1.0',
        'dispatcher_in_doubt_money{currency="AUD"} 25.0',
        'dispatcher_calls_total{channel="sms",outcome="rejected"} 30.0',
        'dispatcher_call_seconds_bucket{channel="sms",le="0.05",outcome="rejected"} 30.0',
        'dispatcher_call_seconds_count{channel="gift",outcome="in_doubt"} 1.0',
        'dispatcher_channel_paused{channel="sms"} 0.0',
        'dispatcher_rate{channel="sms",kind="configured"} 100.0',
        "dispatcher_redis_up 1.0",
    ):
        assert line in text, line
    assert NASTY[:8] not in text


def test_the_templates_name_only_what_exists(sqlite_ledger: str, valkey: str, tmp_path: Path) -> None:
    app = make_web(Services(settings_of(sqlite_ledger, valkey, tmp_path)))
    for name in app.state.pages.list_templates():
        app.state.pages.get_template(name)


def test_a_token_of_odd_letters_is_a_wrong_one(site: Site) -> None:
    fill(site.services)
    for token in ("\u00b2\u00e9", "\u4e2d", ""):
        assert site.post("/channels/sms/pause", token=token, reason="x").status_code == 403
        on = site.post("/operations", on="/plan", deed="replay", q="", seal=f"\u00b2.{token}", reason="x")
        assert on.status_code == 409


def test_a_campaign_of_gifts_is_started_by_who_may_move_money(guarded: Site) -> None:
    terms = {"channel": "gift", "sku": "CARD", "amount": "5.00", "currency": "AUD"}
    made = guarded.services.campaigns("test").create(numbers(3), name="winners", **terms).campaign  # type: ignore[arg-type]
    for name, code in (("otto", 403), ("mona", 303)):
        guarded.visitor.cookies.clear()
        guarded.sign_in(name)
        assert guarded.post(f"/campaigns/{made.id}/start", on=f"/campaigns/{made.id}").status_code == code
    guarded.visitor.cookies.clear()
    guarded.sign_in("otto")
    paused = guarded.post(f"/campaigns/{made.id}/pause", on=f"/campaigns/{made.id}", reason="stop")
    assert paused.status_code == 303, "whoever operates may stop it"


def test_a_message_shows_the_ids_by_which_the_provider_finds_its_calls(site: Site) -> None:
    now = site.services.clock.now()
    site.services.books.enqueue([sms(now)], source="test")
    (claimed,) = site.services.ledger.claim(wish(now)).messages
    ids = (("x-amzn-RequestId", "req-4711"), ("x-amz-apigw-id", "<b>gw</b>="))
    site.services.ledger.settle([settled(claimed, outcome(OutcomeKind.REJECTED, request_ids=ids), now)])
    text = site.get(f"/messages/{claimed.id}").text
    assert "x-amzn-RequestId req-4711" in text
    assert "x-amz-apigw-id &lt;b&gt;gw&lt;/b&gt;=" in text
    assert "<b>gw" not in text


def test_a_channel_that_resumes_without_redis_says_that_its_limits_remain(ledger_url: str, tmp_path: Path) -> None:
    services = Services(settings_of(ledger_url, f"redis://127.0.0.1:{free_port()}/0", tmp_path / "home"))
    for url in serve(services):
        site = Site(url=url, services=services)
        site.post("/channels/gift/pause", on="/", reason="fraud")
        answer = site.post("/channels/gift/resume", on="/")
        assert answer.status_code == 303
        assert "could not be cleared" in site.get(answer.headers["location"]).text
