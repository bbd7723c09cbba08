"""Templates: texts with named fields, and nothing else. No code runs from one and no attribute can be reached."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dispatcher.domain.texts import is_blank, without_hidden

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{|\}")
_DOTLESS = str.maketrans({"\u0130": "i", "\u0131": "i"})
"""Turkish and Azeri have two letters i; capitals do not say which one a lower-case name means."""
_FOREIGN = re.compile(
    r"[{\uff5b]\s{0,3}(?P<braces>[^{}\uff5b\uff5d|]{1,80}?)\s{0,3}(?:\|[^{}\uff5b\uff5d]{0,80})?[}\uff5d]"
    r"|\[{1,3}\s{0,3}([^\[\]]{1,80}?)\s{0,3}\]{1,3}|<{1,3}\s{0,3}([^<>]{1,80}?)\s{0,3}>{1,3}"
    r"|\u00ab\s{0,3}([^\u00ab\u00bb]{1,80}?)\s{0,3}\u00bb|%{1,3}([^%\s]{1,80})%{1,3}|\*\|([^*|]{1,80})\|\*"
    r"|#{1,3}([^#\s]{1,80})#{1,3}"
)
"""Fields as other programs write them: {{Jinja}}, [CRM], <<Word>>, \u00abWord\u00bb, %name%, *|Mailchimp|*, #name#."""


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

        :raises EmptyField: a field without a stand-in is blank.
        """
        text = []
        for part in self.parts:
            if isinstance(part, str):
                text.append(part)
                continue
            place, name, otherwise = part
            value = row[place].strip()
            if is_blank(value):
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
    """Return the field that a column fills. Two columns with one field are alike for templates.

    Letters (with their marks), digits and ``_`` of any script count; what is between them is one ``_``. Upper and lower
    case, composed and decomposed, full and half width are the same. A name of pictographs alone is these.

    >>> [field_name(name) for name in (" First name ", "Gr\u00f6\u00dfe (cm)", "\u0928\u093e\u092e", "\U0001f381")]
    ['first_name', 'gr\u00f6sse_cm', '\u0928\u093e\u092e', '\U0001f381']
    """
    folded = unicodedata.normalize("NFKC", without_hidden(column)).translate(_DOTLESS).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    words = "".join(each if _is_word(each) else " " for each in folded).split()
    return "_".join(words).strip("_") or "".join(each for each in folded if _is_pictograph(each))


def literal_fields(template: Template, columns: Collection[str]) -> tuple[str, ...]:
    """Return what stands in a template's text as other programs write fields, and is therefore sent literally.

    Braces always do; other marks only around the name of a column, since ``[1]`` and ``<3`` are texts.

    >>> literal_fields(parse_template("Hi {{name}}, {{ First name|you }} [code] [1]"), ["Name", "Code"])
    ('{name}', '{ First name|you }', '[code]')
    """
    known = {field_name(column) for column in columns} - {""}
    found = []
    for part in template.parts:
        if isinstance(part, str):
            for each in _FOREIGN.finditer(part):
                name = field_name(next(group for group in each.groups() if group is not None))
                if name in known or (each["braces"] is not None and name):
                    found.append(each[0])
    return tuple(dict.fromkeys(found))


def _is_word(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def _is_pictograph(character: str) -> bool:
    return unicodedata.category(character) == "So" or "\U0001f3fb" <= character <= "\U0001f3ff"


def _field(inside: str, start: int) -> Field:
    name, bar, otherwise = inside.partition("|")
    legal = all(_is_word(each) or _is_pictograph(each) or each in " -" for each in without_hidden(name.strip()))
    if not legal or not field_name(name):
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
