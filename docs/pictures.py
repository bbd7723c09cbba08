"""Take the pictures of the pages that the docs show: an hour of made-up traffic on a real ledger, a real browser.

python docs/pictures.py        writes docs/pictures/*.png
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from dispatcher.domain.message import Channel, Gift, Intake, Sms, check_message
from dispatcher.domain.operation import Deed, Pace
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.ledger import By, migrate
from dispatcher.settings import load_settings
from dispatcher.wiring import Services
from tests.campaigns.making import numbers
from tests.making import new_id, outcome, settled, wish
from tests.servers import running_valkey
from tests.web.conftest import serve

PICTURES = Path(__file__).parent / "pictures"
FAULTS = (
    (503, "upstream", "no healthy upstream, connection {0}", OutcomeKind.FAILED, 14),
    (422, "invalid_recipient", "number {0} is not in service", OutcomeKind.REJECTED, 5),
    (402, "QUOTA", "insufficient credit for account 4711", OutcomeKind.REJECTED, 3),
)


def main() -> None:
    """Fill a ledger and look at it."""
    dice = random.Random(7)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, running_valkey() as redis_url:
        services = Services(
            load_settings(
                ledger_url=f"sqlite:///{folder}/ledger.db",
                redis_url=redis_url,
                home=Path(folder),
                api_base_url="https://api.example.com",
                client_id="client",
                client_secret="none",  # noqa: S106 - nothing is called
            )
        )
        migrate(services.engine)
        an_hour(services, dice)
        paths = at_this_moment(services, dice) | {
            "overview": "/",
            "messages": "/messages",
            "dead": "/dead",
            "plan": "/plan?q=status:503",
            "in_doubt": "/in-doubt",
            "campaigns": "/campaigns",
            "new_campaign": "/campaigns/new",
            "audit": "/audit",
        }
        with contextmanager(serve)(services) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            for name, path in paths.items():
                shoot(page, url + path, name)
            report(page, url, Path(folder))
            browser.close()


def an_hour(services: Services, dice: random.Random) -> None:
    """Send for an hour, with an outage in the middle of it."""
    began = services.clock.now() - timedelta(minutes=60)
    people = iter(numbers(20_000))
    once = Intake(max_attempts=1)
    for minute in range(60):
        now = began + timedelta(minutes=minute)
        count = dice.randint(90, 160) + 2 * minute
        messages = [
            check_message(Sms(recipient=next(people), body="Your code is 123456"), id=new_id(now), now=now, intake=once)
            for _ in range(count)
        ]
        if minute % 6 == 0:
            card = Gift(
                recipient=next(people), sku="COFFEE", amount="25.00", currency="AUD", idempotency_key=f"order-{minute}"
            )
            messages.append(check_message(card, id=new_id(now), now=now, intake=once))
        services.books.enqueue(messages, source="shop")
        for channel in Channel:
            claimed = services.ledger.claim(wish(now, channel, count=500)).messages
            for each in claimed:
                end = now + timedelta(seconds=dice.uniform(0.1, 50))
                services.ledger.settle([settled(each, answer(channel, minute, dice), end)])


def answer(channel: Channel, minute: int, dice: random.Random) -> Outcome:
    if channel is Channel.GIFT and minute in (30, 48):
        return outcome(OutcomeKind.IN_DOUBT, http_status=None, error="read_timeout", error_description="no answer")
    down = 24 <= minute <= 31
    for status, error, text, kind, weight in FAULTS:
        if dice.random() < weight / (25 if down else 400):
            said = text.format(dice.randint(1000, 9999))
            return outcome(kind, http_status=status, error=error, error_description=said)
    return outcome(OutcomeKind.ACCEPTED, http_status=200)


def at_this_moment(services: Services, dice: random.Random) -> dict[str, str]:
    """Have a campaign under way, an operation, and a person who did something; return their pages."""
    now = services.clock.now()
    campaigns, operator = services.campaigns("web:mona"), services.operator("web:mona")
    spring = campaigns.create(numbers(900, first=50_000), name="spring sale", template="Hi, 20 % off").campaign
    campaigns.start(spring.id)
    campaigns.create(numbers(1200, first=80_000), name="members in December", template="Thank you")
    for round_ in range(12):
        services.ledger.recount(now=now + timedelta(seconds=2 * round_ - 24), patience=timedelta(seconds=1))
        claimed = services.ledger.claim(wish(now + timedelta(seconds=1), count=30)).messages
        kinds = [OutcomeKind.REJECTED if dice.random() < 0.02 else OutcomeKind.ACCEPTED for _ in claimed]
        services.ledger.settle(
            [
                settled(each, outcome(kind, http_status=200 if kind is OutcomeKind.ACCEPTED else 422), now)
                for each, kind in zip(claimed, kinds, strict=True)
            ]
        )
    begun = operator.begin(
        operator.plan(Deed.REPLAY, "code:QUOTA"), reason="the account has credit again", pace=Pace(canary=20)
    )
    now = services.clock.now() + timedelta(milliseconds=100)
    while services.inspection_books.step(begun.id, now=now):
        for each in services.ledger.claim(wish(now, count=200)).messages:
            services.ledger.settle([settled(each, outcome(OutcomeKind.ACCEPTED, http_status=200), now)])
    services.ledger.recount(now=services.clock.now() + timedelta(seconds=3), patience=timedelta(seconds=1))
    services.books.pause(
        Channel.GIFT, By(actor="cli:otto", reason="waiting for the provider's word", now=now), until=None
    )
    told = operator.search("operation:" + str(begun.id), limit=1)[0]
    return {
        "message": f"/messages/{told.id}",
        "operation": f"/operations/{begun.id}",
        "campaign": f"/campaigns/{spring.id}",
    }


def report(page: Page, url: str, folder: Path) -> None:
    """Go through the dry run of a campaign."""
    file = folder / "members.csv"
    rows = [f"Person {place},{number}" for place, number in enumerate([*numbers(900), *numbers(20), "+6112", "none"])]
    file.write_text("first_name,recipient\n" + "\n".join(rows) + "\n")
    page.goto(f"{url}/campaigns/new")
    page.set_input_files("input[type=file]", str(file))
    page.fill("[name=name]", "welcome")
    page.fill("textarea", "Hi {first_name}, welcome!")
    page.click("main button.primary")
    shoot(page, None, "dry_run")


def shoot(page: Page, url: str | None, name: str) -> None:
    if url is not None:
        page.goto(url)
    page.screenshot(path=str(PICTURES / f"{name}.png"))
    print(name)


if __name__ == "__main__":
    main()
