"""Signing in: guesses are counted before they are hashed, and nobody is locked out by those of others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
import requests
from argon2 import PasswordHasher
from redis import Redis

from dispatcher.web.guesses import AT_ALL_PLACES, AT_ONE_PLACE, Guesses
from dispatcher.wiring import Services
from tests.web.conftest import HASH, PASSWORD, Site, serve, settings_of

MANY = 60


class Hashing:
    """Counts what is hashed, and how much at the same moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = self.now = self.most = 0
        real, lock = PasswordHasher.verify, threading.Lock()

        def verify(hasher: PasswordHasher, known: str, password: str) -> bool:
            with lock:
                self.done, self.now = self.done + 1, self.now + 1
                self.most = max(self.most, self.now)
            try:
                return bool(real(hasher, known, password))
            finally:
                with lock:
                    self.now -= 1

        monkeypatch.setattr(PasswordHasher, "verify", verify)


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    return Hashing(monkeypatch)


def guess(site: Site, name: str, password: str = "wrong", address: str = "127.0.0.1") -> requests.Response:
    """Guess as somebody who has never been here, from an address as a proxy on this machine reports it."""
    headers = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": address}
    form = {"name": name, "password": password}
    return requests.post(f"{site.url}/sign-in", data=form, headers=headers, timeout=30, allow_redirects=False)


def at_once(site: Site, names: list[str], **more: str) -> Counter[int]:
    with ThreadPoolExecutor(len(names)) as pool:
        return Counter(answer.status_code for answer in pool.map(lambda name: guess(site, name, **more), names))


@pytest.mark.parametrize("name", ["mona", "nobody"])
def test_guesses_at_the_same_moment_are_counted_before_they_are_hashed(
    guarded: Site, hashing: Hashing, name: str
) -> None:
    answers = at_once(guarded, [name] * MANY)
    assert answers == {401: AT_ONE_PLACE.at_once, 429: MANY - AT_ONE_PLACE.at_once}
    assert hashing.done == AT_ONE_PLACE.at_once
    assert hashing.most == 1


def test_names_at_the_same_moment_are_hashed_one_by_one(guarded: Site, hashing: Hashing) -> None:
    answers = at_once(guarded, [f"name{number}" for number in range(MANY)])
    assert set(answers) == {401, 429}
    assert hashing.done == answers[401] < MANY
    assert hashing.most == 1
    assert guarded.get("/healthz").status_code == 200


def test_guesses_elsewhere_or_at_another_name_keep_nobody_out(guarded: Site) -> None:
    at_once(guarded, ["mona"] * 10, address="203.0.113.7")
    assert guess(guarded, "mona", PASSWORD, "203.0.113.7").status_code == 429
    assert guess(guarded, "mona", PASSWORD, "198.51.100.2").status_code == 303
    assert guess(guarded, "otto", PASSWORD, "203.0.113.7").status_code == 303, "behind the same proxy"


def test_a_browser_that_was_here_before_is_not_kept_out_behind_the_same_proxy(guarded: Site) -> None:
    guarded.sign_in("mona")
    guarded.post("/sign-out", on="/")
    at_once(guarded, ["mona"] * 10)
    assert guess(guarded, "mona", PASSWORD).status_code == 429
    assert guarded.sign_in("mona").status_code == 303
    for _ in range(AT_ONE_PLACE.at_once):
        assert guarded.sign_in("mona", "wrong").status_code == 401
    assert guarded.sign_in("mona").status_code == 429, "guesses in a known browser are counted too"
    guarded.visitor.cookies.set("dispatcher_browser", "forged")
    assert guarded.sign_in("mona").status_code == 429


def test_many_addresses_together_guess_no_more_than_their_share() -> None:
    guesses = Guesses(names=frozenset({"mona"}), now=lambda: 0.0)
    waits = [guesses.count("mona", address=f"a{number}", browser=None).retry_after for number in range(100)]
    assert waits.count(0.0) == AT_ALL_PLACES.at_once
    assert guesses.count("mona", address="hers", browser=None).retry_after == AT_ALL_PLACES.every_s
    assert guesses.count("mona", address="hers", browser="known").retry_after == 0.0
    assert guesses.count("otto", address="a1", browser=None).retry_after == 0.0


def test_a_refused_guess_says_when_the_next_one_is_looked_at(guarded: Site) -> None:
    for _ in range(AT_ONE_PLACE.at_once):
        guess(guarded, "mona")
    refused = guess(guarded, "mona", PASSWORD)
    wait = int(refused.headers["Retry-After"])
    assert refused.status_code == 429
    assert 1 <= wait <= AT_ONE_PLACE.every_s
    assert f"Try again in {wait} second" in refused.text


def test_a_refused_guess_delays_nobody() -> None:
    now = 1000.0
    guesses = Guesses(names=frozenset({"mona"}), now=lambda: now)

    def count() -> float:
        return guesses.count("mona", address="a", browser=None).retry_after

    assert [count() for _ in range(AT_ONE_PLACE.at_once)] == [0.0] * AT_ONE_PLACE.at_once
    assert {count() for _ in range(100)} == {AT_ONE_PLACE.every_s}
    now += AT_ONE_PLACE.every_s
    assert count() == 0.0
    assert count() == AT_ONE_PLACE.every_s


def test_guesses_at_other_names_push_no_count_of_a_known_name_out_of_memory() -> None:
    guesses = Guesses(names=frozenset({"mona"}), now=lambda: 0.0)
    for _ in range(AT_ONE_PLACE.at_once):
        guesses.count("mona", address="a", browser=None)
    for number in range(25_000):
        guesses.count(f"nobody{number}", address="a", browser=None)
    assert guesses.count("mona", address="a", browser=None).retry_after > 0


@pytest.fixture
def house(sqlite_ledger: str, valkey: str, redis: Redis, tmp_path: Path) -> House:
    return House(sqlite_ledger, valkey, tmp_path / "home")


class House:
    """Pages that restart with other people on the same ledger and with the same secret."""

    def __init__(self, ledger_url: str, redis_url: str, home: Path) -> None:
        self._ledger_url, self._redis_url, self._home = ledger_url, redis_url, home

    @contextmanager
    def open(self, users: str) -> Iterator[Site]:
        settings = settings_of(self._ledger_url, self._redis_url, self._home, web_users=users, web_secret="secret")
        services = Services(settings)
        with contextmanager(serve)(services) as url:
            yield Site(url=url, services=services)


def pauses(site: Site, cookies: CookieJar, token: str) -> int:
    """Pause the gift channel with a cookie, and return the answer's code."""
    return requests.post(
        f"{site.url}/channels/gift/pause",
        data={"token": token, "reason": "x"},
        cookies=cookies,
        headers={"Sec-Fetch-Site": "same-origin"},
        timeout=10,
        allow_redirects=False,
    ).status_code


NEW_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("a new password")


@pytest.mark.parametrize(
    ("then", "code"),
    [
        (f"mona:payments:{HASH}", 303),
        (f"vera:viewer:{HASH};mona:payments:{HASH}", 303),
        (f"vera:viewer:{HASH}", 401),
        (f"mona:viewer:{HASH};vera:viewer:{HASH}", 401),
        (f"mona:payments:{NEW_HASH}", 401),
    ],
    ids=["the same", "another person more", "removed", "demoted", "a new password"],
)
def test_a_session_ends_when_its_person_is_removed_or_gets_another_role_or_password(
    house: House, then: str, code: int
) -> None:
    with house.open(f"mona:payments:{HASH}") as site:
        site.sign_in("mona")
        cookies, token = site.visitor.cookies.copy(), site.token("/")
    with house.open(then) as site:
        assert pauses(site, cookies, token) == code


def test_a_copied_cookie_is_void_after_signing_out_in_every_process(house: House) -> None:
    with house.open(f"mona:payments:{HASH}") as site, house.open(f"mona:payments:{HASH}") as second:
        site.sign_in("mona")
        cookies, token = site.visitor.cookies.copy(), site.token("/")
        other = Site(url=site.url, services=site.services)
        other.sign_in("mona")
        assert pauses(second, cookies, token) == 303
        assert site.post("/sign-out", token=token).status_code == 303
        assert pauses(site, cookies, token) == 401
        assert pauses(second, cookies, token) == 401
        assert other.get("/").status_code == 200, "another browser's session goes on"
    with house.open(f"mona:payments:{HASH}") as site:
        assert pauses(site, cookies, token) == 401, "after a restart as well"
