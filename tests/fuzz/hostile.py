"""Texts, numbers and bytes that nobody means well with."""

from __future__ import annotations

from hypothesis import strategies as st

TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(codec=None), max_size=40),  # surrogates, NULs and all
    st.sampled_from(
        [
            "\x00",
            "a\x00b",
            "\ud800",
            "\ufeff",
            "\u202e",
            "'; DROP TABLE dispatcher_messages; --",
            "{{7*7}}",
            "<script>alert(1)</script>",
            "=1+1",
            "../../etc/passwd",
            "%00",
            "%",
            "NaN",
            "inf",
            "-inf",
            "1e400",
            "9" * 400,
            "9" * 5000,
            "-1",
            "0",
            "٣",
            "²",
            "0x10",
            "1_000",
            "",
            " ",
            "\n",
        ]
    ),
)
"""Any text, half surrogate pairs included, which command lines and file names may hold."""

MOMENTS = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.builds(
        "{}T{}{}".format,
        st.sampled_from(["0001-01-01", "9999-12-31", "2026-11-24", "2026-02-30", "20261124", "2026-W01-1"]),
        st.sampled_from(["00:00", "23:59:59.999999", "24:00", "09:00"]),
        st.sampled_from(["", "Z", "+23:59", "-23:59", "+00:00:00.000001", "+10:00"]),
    ),
    TEXTS,
)

AGES = st.builds("{}{}".format, st.sampled_from([0, 1, 2, 36499, 36501, 10**9, 10**30]), st.sampled_from("smhdwy"))


def repeated(*pieces: str) -> st.SearchStrategy[str]:
    """Return long texts of one repeated piece: what makes a careless regular expression take for ever."""
    return st.builds(
        lambda head, piece, tail: head + piece * (50_000 // len(piece)) + tail,
        st.sampled_from(["", *pieces]),
        st.sampled_from(pieces),
        st.sampled_from(["", "!", "\x00", *pieces]),
    )


def mutated(good: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts that are almost right: with something put in, taken out or doubled."""

    def bend(text: str, place: int, length: int, put: str) -> str:
        at = place % (len(text) + 1)
        return text[:at] + put + text[at + length :]

    return st.builds(bend, good, st.integers(0, 400), st.integers(0, 4), st.sampled_from(["", " ", "-"]) | TEXTS)
