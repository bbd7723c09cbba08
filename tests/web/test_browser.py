"""The pages in a real Chromium: by mouse, by keys, on a phone, without JavaScript; nothing breaks the policy."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from dispatcher.domain.message import Channel, Intake, Sms, check_message
from dispatcher.domain.operation import Deed, Stage
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from tests.campaigns.making import numbers
from tests.making import new_id, outcome, settled, sms, wish
from tests.web.conftest import PASSWORD, Site
from tests.web.fates import fill

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.one_database,
    pytest.mark.skipif(
        not CHROMIUM and os.environ.get("CI") != "true", reason="chromium is not installed (apt-get install chromium)"
    ),
]
PAGES = ("/", "/messages", "/dead", "/plan?q=status:422", "/in-doubt", "/campaigns", "/operations", "/audit", "/nope")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "with CI=true the browser tests must run: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def broken() -> list[str]:
    """Everything that the browser complained about."""
    return []


def opened(browser: Browser, broken: list[str], **options: object) -> Page:
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 860}} | options).new_page()  # type: ignore[arg-type]
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if "Content Security Policy" in said.text else None)
    return page


@pytest.fixture
def page(browser: Browser, broken: list[str]) -> Iterator[Page]:
    page = opened(browser, broken)
    yield page
    page.context.close()
    assert broken == []


@contextmanager
def working(site: Site, *, accept: bool) -> Iterator[None]:
    """Do what clock and workers do for as long as the block lasts."""
    over = threading.Event()

    def run() -> None:
        services = site.services
        while not over.wait(0.1):
            for each in services.inspection_books.operations():
                if each.state is Stage.RUNNING:
                    services.inspection_books.step(each.id, now=services.clock.now())
            claimed = services.ledger.claim(wish(services.clock.now(), Channel.SMS)).messages
            kind = OutcomeKind.ACCEPTED if accept else OutcomeKind.REJECTED
            services.ledger.settle([settled(each, outcome(kind), services.clock.now()) for each in claimed])

    thread = threading.Thread(target=run)
    thread.start()
    yield
    over.set()
    thread.join()


def test_from_signing_in_to_an_operation_that_ended(guarded: Site, page: Page) -> None:
    fill(guarded.services, dead=60)
    page.goto(f"{guarded.url}/dead")
    page.fill("#name", "mona")
    page.fill("#password", PASSWORD)
    page.click("text=Sign in >> nth=-1")
    page.click("text=Plan replay")
    assert page.locator("h1").inner_text() == "Replay 60 messages?"
    assert page.is_checked("input[name=canary]")
    page.fill("#reason", "the list was corrected")
    page.click("#go")
    with working(guarded, accept=True):
        page.wait_for_selector("h1 >> text=done", timeout=15_000)
        page.wait_for_selector(".tiles >> text=accepted", timeout=15_000)
    (operation,) = guarded.services.inspection_books.operations()
    assert (operation.done, operation.pace.canary, operation.actor) == (60, 20, "web:mona")


def test_yesterdays_outage_is_put_right_in_nine_actions(site: Site, page: Page) -> None:
    """As the page of the docs tells it: what can be sent again is, what never will be is put away."""
    refused = fill(site.services, dead=30)["dead"]
    outage(site, 70)
    done = 0

    def act(what: Callable[[], object]) -> None:
        nonlocal done
        what()
        done += 1

    page.goto(site.url)
    with working(site, accept=True):
        act(lambda: page.click("nav >> text=Dead letters"))
        act(lambda: page.click("tr:has-text('503') >> text=Plan replay"))
        act(lambda: page.fill("#reason", "the provider's outage is over"))
        act(lambda: page.click("#go"))
        page.wait_for_selector("h1 >> text=done", timeout=20_000)
        act(lambda: page.click("nav >> text=Dead letters"))
        act(lambda: page.click("tr:has-text('422') >> text=Look"))
        act(lambda: page.click("text=Discard all"))
        act(lambda: page.fill("#reason", "numbers of the old list"))
        act(lambda: page.click("#go"))
        page.wait_for_selector("h1 >> text=done", timeout=20_000)
    assert done == 9
    assert site.services.books.message(refused).discarded_at is not None
    assert site.services.operator("test").search("state:dead channel:sms") == []
    assert site.services.inspection_books.count(site.services.operator("test").read("state:accepted")) == 70


def outage(site: Site, count: int) -> None:
    """Give messages up as an outage does: each attempt was answered with 503."""
    now = site.services.clock.now() - timedelta(minutes=1)
    once = Intake(max_attempts=1)
    sent = [
        check_message(Sms(recipient=number, body="Hello"), id=new_id(now), now=now, intake=once)
        for number in numbers(count, first=500)
    ]
    site.services.books.enqueue(sent, source="test")
    ours = {each.id for each in sent}
    claimed = [each for each in site.services.ledger.claim(wish(now, count=500)).messages if each.id in ours]
    answer = outcome(OutcomeKind.FAILED, http_status=503, error="upstream", error_description="no healthy upstream")
    site.services.ledger.settle([settled(each, answer, now) for each in claimed])


def test_a_list_says_how_many_are_new_and_moves_no_row(site: Site, page: Page) -> None:
    fill(site.services, dead=3)
    page.goto(f"{site.url}/messages")
    before = page.locator("table.list tbody").inner_text()
    site.services.books.enqueue([sms(site.services.clock.now()) for _ in range(7)], source="test")
    page.wait_for_selector("text=7 new · show", timeout=15_000)
    assert page.locator("table.list tbody").inner_text() == before
    page.click("#fresh")
    page.wait_for_function("document.querySelectorAll('table.list tbody tr').length === 13")
    assert page.locator("#fresh").count() == 0


def test_a_canary_that_fails_stops_the_operation_before_ones_eyes(site: Site, page: Page) -> None:
    fill(site.services, dead=60)
    page.goto(f"{site.url}/plan?q=status:422")
    page.fill("#reason", "try")
    page.click("#go")
    with working(site, accept=False):
        page.wait_for_selector("text=stopped by its canary: 20 of the first 20 failed again", timeout=15_000)


def test_a_gift_in_doubt_is_answered_for_and_what_is_dangerous_asks_once_more(site: Site, page: Page) -> None:
    id_ = fill(site.services)["in_doubt"]
    page.goto(f"{site.url}/in-doubt")
    page.fill("input[name=reason]", "they have no such card")
    page.click("text=It was not, send it")
    assert page.evaluate("document.activeElement.textContent") == "Cancel", "the focus is on the harmless one"
    page.click("#sure >> text=Cancel")
    assert site.services.books.message(id_).state is State.IN_DOUBT
    page.click("text=It was not, send it")
    page.click("#sure >> text=Go on")
    page.wait_for_selector("text=Answered for")
    assert site.services.books.message(id_).state is State.QUEUED


def test_a_channel_is_paused(site: Site, page: Page) -> None:
    page.goto(site.url)
    page.fill("#why-gift", "fraud")
    page.click("form[action='/channels/gift/pause'] button")
    page.click("#sure >> text=Go on")
    page.wait_for_selector("text=gift is paused by web:local: fraud")


def test_by_keys_alone(site: Site, page: Page) -> None:
    fill(site.services)
    page.goto(site.url)
    for key in ("g", "d"):
        page.keyboard.press(key)
    page.wait_for_url("**/dead")
    page.keyboard.press("/")
    page.keyboard.type("status:422")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dead?q=status*")
    for key in ("j", "x", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    assert page.locator("tbody input:checked").count() == 3
    page.keyboard.press("r")
    page.wait_for_url("**/plan?*")
    assert page.locator("h1").inner_text() == "Replay 3 messages?"
    page.go_back()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/messages/*")
    page.keyboard.press("?")
    assert page.is_visible("#help")


def test_without_javascript(site: Site, browser: Browser, broken: list[str]) -> None:
    ids = fill(site.services)
    page = opened(browser, broken, java_script_enabled=False)
    page.goto(f"{site.url}/dead?q=status:422")
    page.check("tbody input >> nth=0")
    page.click("text=Replay selected")
    page.fill("#reason", "by hand")
    page.click("#go")
    assert "/operations/" in page.url
    page.goto(f"{site.url}/messages/{ids['queued']}")
    page.click("text=Call off")
    assert "Called off." in page.content()
    page.context.close()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.exhaustive),
        pytest.param(390, "light", marks=pytest.mark.exhaustive),
    ],
)
def test_every_page_is_accessible_and_fits_its_screen(
    site: Site, browser: Browser, broken: list[str], width: int, scheme: str
) -> None:
    ids = fill(site.services)
    campaigns = site.services.campaigns("test")
    campaigns.start(campaigns.create(numbers(3, first=700), name="spring", template="Hi").campaign.id)
    operator = site.services.operator("test")
    operation = operator.begin(operator.plan(Deed.REPLAY, "status:422"), reason="test")
    page = opened(browser, broken, viewport={"width": width, "height": 844}, color_scheme=scheme)
    shots = Path(__file__).parents[2] / "test-output" / "pages"
    shots.mkdir(parents=True, exist_ok=True)
    for path in (
        *PAGES,
        f"/messages/{ids['dead']}",
        f"/messages/{ids['dead_gift']}/edit",
        "/campaigns/new",
        "/campaigns/spring",
        f"/operations/{operation.id}",
        "/sign-in",
    ):
        page.goto(site.url + path)
        name = "-".join(part for part in path.split("?")[0].split("/") if part.replace("-", "").isalpha()) or "overview"
        if path.count("/") > 1 and not name.count("-"):
            name += "-one"
        page.screenshot(path=str(shots / f"{name}-{width}-{scheme}.png"), full_page=True)
        found = [each for each in Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
        told = [(each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in found]
        assert told == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the screen"
    page.context.close()
    assert broken == []
