"""The pages say what the code does: settings, commands, log events, states, policy; and their links lead somewhere."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.policy import GIFT_POLICY, SMS_POLICY, Effect, Next
from dispatcher.domain.state import CAMPAIGN_TRANSITIONS, TRANSITIONS
from dispatcher.settings import known_names
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, blocks, name_of, prose, rows

NEXT = {
    Next.ACCEPT: "accepted",
    Next.RETRY: "again",
    Next.RETRY_IN_DOUBT: "again, as a possible duplicate",
    Next.REQUEUE: "queued",
    Next.SET_BACK: "queued, behind the others",
    Next.DIE: "dead",
    Next.DOUBT: "in doubt",
}
EFFECT = {
    Effect.HEALTHY: "healthy",
    Effect.SICK: "feeds the breaker",
    Effect.THROTTLE: "waits, rate lowered",
    Effect.RENEW_TOKEN: "new token",
    Effect.SUSPECT: "suspect",
}
LEVELS = {"debug", "info", "warning", "error", "exception"}
DYNAMIC_LEVEL = {"warning", "error"}
"""Where the code chooses the level by the error: ``level("spooled")``."""


def test_generated_pages_are_as_the_code_is() -> None:
    check = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert check.returncode == 0, check.stderr


def test_every_setting_and_every_command_has_its_place() -> None:
    settings, commands = (DOCS / "settings.md").read_text(), (DOCS / "commands.md").read_text()
    assert [row[0].strip("`") for row in rows(DOCS / "settings.md", "name")] == list(known_names())
    assert all(len(row[2]) > 10 for row in rows(DOCS / "settings.md", "name"))
    generate: dict[str, Any] = runpy.run_path(str(DOCS / "generate.py"), run_name="generate")
    names = [name for name, _ in generate["leaves"]()]
    assert re.findall(r"^## dispatcher (.+)$", commands, re.MULTILINE) == names
    assert set(generate["SPECIAL_EXITS"]) == set(names), "exit codes are told of commands that exist, and of each"
    assert str(Path.home()) not in settings + commands


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_setting_that_a_page_names_exists(page: Path) -> None:
    known = set(known_names())
    for name in re.findall(r"DISPATCHER_[A-Z_]+[A-Z]", page.read_text("utf-8")):
        assert name in known or name.removesuffix("_FILE") in known, f"there is no setting {name}"


def test_the_state_diagram_is_the_machine() -> None:
    (diagram,) = blocks(DOCS / "concepts.md", "mermaid")
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+)", diagram, re.MULTILINE))
    assert drawn == {(source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets}
    assert "[*] --> queued" in diagram


def test_the_diagram_of_campaigns_is_their_machine() -> None:
    (diagram,) = blocks(DOCS / "campaigns.md", "mermaid")
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+)", diagram, re.MULTILINE))
    machine = {(source.value, target.value) for source, targets in CAMPAIGN_TRANSITIONS.items() for target in targets}
    assert drawn == machine
    assert "[*] --> draft" in diagram


def test_the_table_of_outcomes_is_the_policy() -> None:
    table = {row[0].strip("`"): row[2:] for row in rows(DOCS / "concepts.md", "outcome")}
    assert set(table) == {kind.value for kind in OutcomeKind}
    for kind in OutcomeKind:
        rules = {Channel.SMS: SMS_POLICY.rules[kind], Channel.GIFT: GIFT_POLICY.rules[kind]}
        (spends,) = {rule.spends for rule in rules.values()}
        (effect,) = {rule.effect for rule in rules.values()}
        says = [NEXT[rules[Channel.SMS].next], NEXT[rules[Channel.GIFT].next]]
        assert table[kind.value] == [*says, "yes" if spends else "no", EFFECT[effect]], kind


def test_the_numbers_beside_the_table_are_the_policys() -> None:
    page = re.sub(r"\s+", " ", prose(DOCS / "concepts.md"))
    assert SMS_POLICY.backoff == GIFT_POLICY.backoff
    first, cap = SMS_POLICY.backoff.first.total_seconds(), SMS_POLICY.backoff.cap.total_seconds()
    assert f"up to {first:g} s at first, doubling to {cap / 60:g} minutes" in page
    assert SMS_POLICY.max_duplicates == 2
    assert "happens at most twice" in page


def events_in_the_code() -> dict[str, set[str]]:
    """Return each log event with the levels at which it may come."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "dispatcher").rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        for event, levels in _events(ast.parse(path.read_text("utf-8"))):
            found.setdefault(event, set()).update(levels)
    return found


def _events(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[ast.Constant(value=str(event)), *_]
            ) if level in LEVELS:
                yield event, {"error" if level == "exception" else level}
            case ast.Call(func=ast.Name(id="level"), args=[ast.Constant(value=str(event)), *_]):
                yield event, DYNAMIC_LEVEL


def test_every_log_event_is_explained_with_its_level() -> None:
    explained = {row[0].strip("`"): set(row[1].split(", ")) for row in rows(DOCS / "operating.md", "event")}
    assert explained == events_in_the_code()


def links() -> Iterator[tuple[str, str]]:
    """Yield each link between pages, with the page that has it."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if not re.match(r"\w+:", target):
                yield name_of(page), target


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    aim = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    assert aim.exists()
    if anchor:
        assert anchor in anchors(aim)


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    for page in DOCS.rglob("*.md"):
        assert page.name == "README.md" or f"({page.relative_to(DOCS)})" in index


@pytest.mark.parametrize("decision", sorted((DOCS / "decisions").glob("*.md")), ids=name_of)
def test_a_decision_is_short_and_has_its_three_parts(decision: Path) -> None:
    text = decision.read_text("utf-8")
    number = int(decision.name[:4])
    assert text.startswith(f"# {number}. ")
    assert len(text.splitlines()) <= 40
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
