"""SMS parts: compared with a count character by character."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.domain.segments import Encoding, segments

BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = set("\f^{}\\[~]|€")


def counted(text: str) -> tuple[Encoding, int, int, str]:
    """Put each character into a part; none is split."""
    culprits = []
    for character in text:
        if character not in BASIC | EXTENDED and character not in culprits:
            culprits.append(character)
    if culprits:
        encoding, single, several = Encoding.UCS2, 70, 67
        widths = [len(character.encode("utf-16-be", "surrogatepass")) // 2 for character in text]
    else:
        encoding, single, several = Encoding.GSM7, 160, 153
        widths = [1 + (character in EXTENDED) for character in text]
    if sum(widths) <= single:
        return encoding, 1, sum(widths), "".join(culprits)
    parts = [0]
    for width in widths:
        if parts[-1] + width > several:
            parts.append(0)
        parts[-1] += width
    return encoding, len(parts), sum(widths), "".join(culprits)


_TEXTS = st.one_of(
    st.text(st.sampled_from(sorted(BASIC | EXTENDED)), max_size=500),
    st.text(st.sampled_from("a€{"), min_size=140, max_size=330),
    st.text(st.sampled_from("aé😀漢"), min_size=60, max_size=220),
    st.text(max_size=300),
)


@settings(max_examples=1500, deadline=None)
@given(_TEXTS)
@example("a" * 152 + "€" + "a" * 10)
@example("😀" * 33 + "a😀" + "a" * 80)
@example("a" * 160)
@example("a" * 161)
@example("ж" * 70)
@example("ж" * 71)
@example("abc\n")
@example("")
def test_parts_are_counted_as_one_would_by_hand(text: str) -> None:
    found = segments(text)
    assert (found.encoding, found.parts, found.units, found.culprits) == counted(text)
