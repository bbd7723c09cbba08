"""Templates: texts with named fields, and nothing else. No code runs from one and no attribute can be reached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{|\}")
_NAME = re.compile(r"\w[\w \-]*\Z")
_APART = re.compile(r"\W+")


class EmptyField(ValueError):
    """A recipient has nothing in a field that the template needs."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} is empty, and the template needs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A place that is filled in, and what stands there for recipients who have nothing in the field."""

    name: str
    otherwise: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text with fields.

    >>> template = parse_template("Hi {First name|there}, your code is {code}. {{sic}}")
    >>> template.fields
    ('first_name', 'code')
    >>> template.placed({"code": 0, "first_name": 1}).filled(["X7", ""])
    'Hi there, your code is X7. {sic}'
    """

    parts: tuple[str | Field, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, each once, in order."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Field)))

    def placed(self, places: Mapping[str, int]) -> Placed:
        """Say for each field in which place of a row its value stands.

        :raises KeyError: a field has no place.
        """
        return Placed(
            tuple(
                part if isinstance(part, str) else (places[part.name], part.name, part.otherwise) for part in self.parts
            )
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A template that takes its values by their place in a row."""

    parts: tuple[str | tuple[int, str, str | None], ...]

    def filled(self, row: Sequence[str]) -> str:
        """Return the text for one recipient.

        :raises EmptyField: a field without a stand-in has nothing but blanks.
        """
        text = []
        for part in self.parts:
            if isinstance(part, str):
                text.append(part)
                continue
            place, name, otherwise = part
            value = row[place].strip()
            if not value:
                if otherwise is None:
                    raise EmptyField(name)
                value = otherwise
            text.append(value)
        return "".join(text)


def parse_template(text: str) -> Template:
    """Read a template: ``{field}``, ``{field|stand-in}``, and ``{{`` or ``}}`` for a brace itself.

    :raises ValueError: with the place of what is wrong and what would be right.

    >>> parse_template("Hi {user.name}")
    Traceback (most recent call last):
        ...
    ValueError: at character 4: {user.name} is not a field; a field is a column's name: letters, digits, _ and blanks
    """
    parts: list[str | Field] = []
    end = 0
    for found in _BRACES.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        match found[0]:
            case "{{" | "}}":
                parts.append(found[0][0])
            case "{" | "}":
                raise ValueError(f"at character {found.start() + 1}: a lone {found[0]}; write {found[0] * 2} for one")
            case _:
                parts.append(_field(found[1], found.start()))
    parts.append(text[end:])
    return Template(parts=tuple(_joined(parts)))


def field_name(column: str) -> str:
    """Return the field that a column fills: lower case, words joined by ``_``.

    >>> field_name(" First name "), field_name("Größe (cm)")
    ('first_name', 'größe_cm')
    """
    return _APART.sub("_", column.strip()).strip("_").lower()


def _field(inside: str, start: int) -> Field:
    name, bar, otherwise = inside.partition("|")
    if not _NAME.match(name.strip()) or not field_name(name):
        raise ValueError(
            f"at character {start + 1}: {{{inside}}} is not a field; "
            "a field is a column's name: letters, digits, _ and blanks"
        )
    return Field(name=field_name(name), otherwise=otherwise if bar else None)


def _joined(parts: Sequence[str | Field]) -> list[str | Field]:
    joined: list[str | Field] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined
