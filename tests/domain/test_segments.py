"""SMS parts: compared with a count character by character."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.domain.segments import Encoding, Segments, segments

BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = set("\f^{}\\[~]|€")


def counted(text: str) -> Segments:
    """Put each character into a part; none is split."""
    culprits = "".join(dict.fromkeys(c for c in text if c not in BASIC and c not in EXTENDED))
    if culprits:
        encoding, single, several = Encoding.UCS2, 70, 67
        widths = [2 if ord(c) > 0xFFFF else 1 for c in text]
    else:
        encoding, single, several = Encoding.GSM7, 160, 153
        widths = [2 if c in EXTENDED else 1 for c in text]
    parts, room = 1, several
    if sum(widths) > single:
        for width in widths:
            if width > room:
                parts, room = parts + 1, several
            room -= width
    return Segments(encoding=encoding, parts=parts, units=sum(widths), culprits=culprits)


_TEXTS = st.one_of(
    st.text(st.sampled_from(sorted(BASIC | EXTENDED)), max_size=500),
    st.text(st.sampled_from("a€{"), min_size=140, max_size=330),
    st.text(st.sampled_from("aé😀漢"), min_size=60, max_size=220),
    st.text(st.sampled_from("aж😀\ud83d\ude00\uffff\U00010000"), max_size=220),
    st.text(max_size=300),
)


@settings(max_examples=800, deadline=None)
@given(_TEXTS)
@example("abc\n")
@example("")
def test_parts_are_counted_as_one_would_by_hand(text: str) -> None:
    assert segments(text) == counted(text)


@pytest.mark.parametrize(
    ("narrow", "wide", "single", "several"), [("a", "€", 160, 153), ("ж", "😀", 70, 67), ("a", "😀", 70, 67)]
)
def test_a_wide_character_is_never_split_between_parts(narrow: str, wide: str, single: int, several: int) -> None:
    for edge in (single, several, 2 * several, 3 * several):
        for before in range(edge - 3, edge + 2):
            assert segments(narrow * before) == counted(narrow * before), before
            for after in ("", narrow, wide, narrow * several, wide * several, (narrow + wide) * several):
                text = narrow * before + wide + after
                assert segments(text) == counted(text), (before, after)
    assert segments("ж" * 66 + "😀" + "ж" * 66).parts == 3, "134 units would be two parts, but for the gap before 😀"


def test_long_texts_of_all_kinds_of_characters_are_counted_as_by_hand() -> None:
    dice = random.Random(5)
    for alphabet in ("aaaaaaaa€", "a€", "aaaaж😀", "😀😀😀a", "abcdé😀漢字"):
        for length in range(600):
            text = "".join(dice.choices(alphabet, k=length))
            assert segments(text) == counted(text)


def test_each_character_alone_costs_what_the_alphabets_say() -> None:
    for character in map(chr, (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFFF0, 0x10010), 0x10FFFF)):
        assert segments(character) == counted(character)


def test_culprits_are_named_once_and_in_the_order_of_the_text() -> None:
    assert segments("юa€😀юb漢😀a").culprits == "ю😀漢"
