"""The demo as a newcomer runs it, and as somebody runs it whose books have been tampered with."""

from __future__ import annotations

import base64
import json
import signal
import sqlite3
import sys
import urllib.error
import urllib.request
from pathlib import Path
from uuid import UUID

import pytest

from dispatcher.settings import read_embedded
from tests.embedded.processes import living, run, started, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]
SHORT = ("demo", "--messages", "60", "--gifts", "8")
LONG = ("demo",)
"""Does not end by itself before it is interrupted, however fast the machine."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def call(url: str, body: bytes, **headers: str) -> dict[str, object]:
    """Call the API as the provider's own customer would, past our dispatcher."""
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def pay_again(home: Path) -> None:
    """Have a gift that was accepted carried out once more, under the same key."""
    values = read_embedded(home / "demo")
    base, secret = values["DISPATCHER_API_BASE_URL"], f"sandbox-client:{values['DISPATCHER_CLIENT_SECRET']}"
    basic = f"Basic {base64.b64encode(secret.encode()).decode()}"
    form = b"grant_type=client_credentials&scope=gifting:send"
    token = call(f"{base}/oauth2/token", form, Authorization=basic, Content_Type="application/x-www-form-urlencoded")
    query = "SELECT id, recipient FROM dispatcher_messages WHERE channel = 'gift' AND state = 'accepted'"
    with sqlite3.connect(home / "demo" / "ledger.db", timeout=10) as ledger:
        id_, recipient = ledger.execute(query).fetchone()
    gift = {"recipient": recipient, "sku": "coffee-card", "amount": "10.00", "currency": "AUD"}
    headers = {"Authorization": f"Bearer {token['access_token']}", "Idempotency_Key": str(UUID(id_))}
    call(f"{base}/gifting/send", json.dumps(gift).encode(), Content_Type="application/json", **headers)


def some_gift_is_accepted(home: Path) -> bool:
    try:
        with sqlite3.connect(home / "demo" / "ledger.db", timeout=10) as ledger:
            query = "SELECT count(*) FROM dispatcher_messages WHERE channel = 'gift' AND state = 'accepted'"
            return int(ledger.execute(query).fetchone()[0]) > 0
    except sqlite3.OperationalError:
        return False


def test_the_books_balance_and_the_ledger_stays_to_be_looked_at(home: Path) -> None:
    demo = run(home, *SHORT, "--seed", "7", "--json")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    told = json.loads(demo.stdout)
    assert told["balances"] is True
    assert told["problems"] == []
    assert sum(told["ledger"]["sms"].values()) == 60 + len(told["transactional_waited_s"])
    assert sum(told["ledger"]["gift"].values()) == 8
    assert {gift["carried_out"] for gift in told["in_doubt"]} <= {0, 1}
    assert [each for each in told["in_doubt"] if each["channel"] == "gift"]
    assert all(sms["marked_as_possible_duplicate"] >= sms["carried_out"] - 1 for sms in told["sms_repeated"])
    assert told["tokens"] >= 2
    assert not living(home)
    for message in (told["in_doubt"][0]["id"], told["dead"][0]["id"]):
        assert run(home / "demo", "messages", "show", message).returncode == 0


@pytest.mark.exhaustive
def test_a_gift_that_was_carried_out_twice_fails_the_demo(home: Path) -> None:
    with started(home, *SHORT) as demo:
        until(lambda: read_embedded(home / "demo") and some_gift_is_accepted(home), within_s=40)
        for _ in range(20):
            try:
                pay_again(home)
                break
            except urllib.error.HTTPError:  # the demo's API is in no good mood: 429, or a token that ended
                continue
        output, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1, output + errors
    assert "\x1b" not in output
    assert " s  68 messages are safe in the ledger" in output
    assert "The books do NOT balance." in output
    assert "✗ NOT: no gift was carried out twice" in output
    assert "was carried out 2 times" in output


def test_ctrl_c_leaves_nothing_running(home: Path) -> None:
    with started(home, *LONG) as demo:
        until(lambda: read_embedded(home / "demo"), within_s=25)
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=20)
        assert demo.returncode == 130
        assert "nothing is left running" in errors
        assert not living(home)


def test_it_throws_nobodys_ledger_away(home: Path) -> None:
    (home / "demo").mkdir(parents=True)
    (home / "demo" / "ledger.db").write_text("mine")
    demo = run(home, *SHORT)
    assert demo.returncode == 1
    assert "is no demo's" in demo.stderr
    assert (home / "demo" / "ledger.db").read_text() == "mine"
