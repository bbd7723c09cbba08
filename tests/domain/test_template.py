"""Templates: fields and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.template import EmptyField, Field, parse_template


@pytest.mark.parametrize(
    "text",
    [
        "{recipient.__class__}",
        "{0}{recipient[0]}",
        "{recipient!r}",
        "{recipient:>10}",
        "{}",
        "{ }",
        "{__import__('os')}",
        "{a+b}",
        "{{{a.b}}}",
        "{a{b}}",
        "{a",
        "a}",
        "{%s}",
        "{a;b}",
    ],
)
def test_nothing_but_the_name_of_a_field_is_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"^at character \d+: "):
        parse_template(text)


def test_what_comes_from_a_column_is_never_read_as_a_template() -> None:
    placed = parse_template("Hi {name}").placed({"name": 0})
    assert placed.filled(["{secret} {{x}} %s $x"]) == "Hi {secret} {{x}} %s $x"


def test_an_empty_field_is_told_unless_there_is_a_stand_in() -> None:
    placed = parse_template("{a|friend} {b}").placed({"a": 0, "b": 1})
    assert placed.filled(["  ", " x "]) == "friend x"
    with pytest.raises(EmptyField, match="b is empty"):
        placed.filled(["x", " "])


def test_a_stand_in_may_be_nothing() -> None:
    assert parse_template("Hi{name|}!").placed({"name": 0}).filled([""]) == "Hi!"


@given(st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"])))
def test_a_text_without_braces_stays_as_it_is(text: str) -> None:
    template = parse_template(text)
    assert template.fields == ()
    assert template.placed({}).filled([]) == text


@given(st.text(st.sampled_from("{}ab")))
def test_doubled_braces_are_braces(text: str) -> None:
    assert parse_template(text.replace("{", "{{").replace("}", "}}")).placed({}).filled([]) == text


def test_parts_are_told_apart() -> None:
    assert parse_template("a{b}c{{d").parts == ("a", Field(name="b"), "c{d")
