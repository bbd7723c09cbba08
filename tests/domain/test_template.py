"""Templates: fields and nothing else."""

from __future__ import annotations

import time
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.template import EmptyField, Field, field_name, literal_fields, parse_template


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


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("\u0928\u093e\u092e", "{\u0928\u093e\u092e}"),  # Hindi: vowel signs are marks
        ("\u0e0a\u0e37\u0e48\u0e2d", "{\u0e0a\u0e37\u0e48\u0e2d}"),  # Thai
        ("\u09a8\u09be\u09ae", "{ \u09a8\u09be\u09ae }"),  # Bengali
        ("\u0646\u0627\u0645\u200c\u062e", "{\u0646\u0627\u0645\u200c\u062e}"),  # Persian, joined apart
        ("\u05e9\u05b5\u05c1\u05dd", "{\u05e9\u05b5\u05c1\u05dd}"),  # Hebrew with points
        ("\u0130S\u0130M", "{isim}"),  # Turkish
        ("isim", "{\u0130sim}"),
        ("ADI", "{ad\u0131}"),
        ("PRE\u0301NOM", "{pr\u00e9nom}"),  # decomposed in the file, composed in the template
        ("pr\u00e9nom", "{pre\u0301nom}"),
        ("STRASSE", "{Stra\u00dfe}"),
        ("\u039f\u0394\u039f\u03a3", "{\u03bf\u03b4\u03bf\u03c2}"),  # Greek: the last sigma is another
        ("\uff4e\uff41\uff4d\uff45", "{name}"),  # full width
        ("\ufeffname\u200b", "{name}"),
        ("\u59d3\u540d", "{\u59d3\u540d}"),
        ("\U0001f381", "{\U0001f381}"),
        ("\u2764\ufe0f", "{\u2764}"),
        ("\U0001f44d\U0001f3fd", "{\U0001f44d\U0001f3fd}"),
        ("Gift \U0001f381", "{gift}"),
        ("Price ($)", "{price}"),
        ("#", None),
        ("  ", None),
        ("_", None),
    ],
)
def test_a_column_of_any_script_is_a_field(column: str, field: str | None) -> None:
    assert field_name(column) == ("" if field is None else parse_template(field).fields[0])


@given(st.text(st.characters(categories=["L", "M", "N"]), min_size=1, max_size=20))
def test_a_name_of_letters_marks_and_digits_is_a_field_however_it_is_written(name: str) -> None:
    field = field_name(name)
    if not field:  # only characters without a visible form
        return
    assert parse_template(f"{{{name}}}").fields == (field,)
    assert field_name(field) == field
    assert {field_name(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")} == {field}


def test_different_names_of_one_script_are_different_fields() -> None:
    assert field_name("\u092a\u0924\u093e") != field_name("\u092a\u0924\u093f")  # address, husband


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi {{first_name}}", ("{first_name}",)),
        ("Hi {{ first_name }} and {{first_name|there}}", ("{ first_name }", "{first_name|there}")),
        ("Hi {{nobody}}", ("{nobody}",)),
        ("Hi \uff5bfirst_name\uff5d", ("\uff5bfirst_name\uff5d",)),
        ("Dear [First Name],", ("[First Name]",)),
        ("<<first_name>> \u00abfirst_name\u00bb", ("<<first_name>>", "\u00abfirst_name\u00bb")),
        ("%first_name% *|FIRST_NAME|*", ("%first_name%", "*|FIRST_NAME|*")),
        ("#first_name#", ("#first_name#",)),
        ("[1] <3 50% off, 20% [note] {{}} {{!}}", ()),
        ("Hi {first_name}", ()),
        ("Hi {{{first_name}}}", ()),
    ],
)
def test_fields_as_other_programs_write_them_are_found(text: str, found: tuple[str, ...]) -> None:
    assert literal_fields(parse_template(text), ["recipient", "First name", ""]) == found


def test_a_long_template_is_read_at_once() -> None:
    for piece in ("{{", "[", "<", "%a", "#a", "\u00ab ", "{{ a"):
        text = piece * (50_000 // len(piece))
        began = time.process_time()
        with suppress(ValueError):
            literal_fields(parse_template(text), ["a"])
        assert time.process_time() - began < 1


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u200b", "\ufeff", "\u3164", "\u2800", "\u00ad \u2060"])
def test_a_cell_that_shows_nothing_is_empty(blank: str) -> None:
    placed = parse_template("Hi {name|there}").placed({"name": 0})
    assert placed.filled([blank]) == "Hi there"
    with pytest.raises(EmptyField):
        parse_template("Hi {name}").placed({"name": 0}).filled([blank])
