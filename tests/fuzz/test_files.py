"""Files of recipients: refused by name, or taken in with numbers that add up; and never a part of a refused one."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from dispatcher.campaigns import Campaigns
from dispatcher.campaigns.missing import is_placeholder
from dispatcher.campaigns.opt_outs import import_opt_outs
from dispatcher.campaigns.source import open_source
from dispatcher.domain.errors import InvalidCampaign
from dispatcher.domain.message import Channel
from dispatcher.domain.texts import composed, is_blank
from dispatcher.ledger import By, CampaignBooks
from dispatcher.ledger.tables import METADATA
from dispatcher.testing import FakeClock
from tests.campaigns.making import campaigns_on, numbers
from tests.fuzz.hostile import TEXTS
from tests.fuzz.spreadsheets import PROGRAMS, Sheet, saved_exports, sheets
from tests.fuzz.tally import TALLY, examples

NUMBERS = numbers(12)
OPTED_OUT = NUMBERS[:3]
_names = itertools.count()

cells = st.one_of(
    st.sampled_from(NUMBERS),
    TEXTS,
    st.sampled_from(
        [
            *(
                "=HYPERLINK(1)",
                "+61 491 570 006",
                "0491570006",
                "@SUM(A1)",
                "\t-1",
                '"',
                '""',
                "a\nb",
                "a\r\nb",
                "\x0b",
                "\x85",
            ),
            *("x" * 1700, "x" * 70_000, "25.00", "1e3", "AUD", "CARD", "\\N", "\\.", "a\\tb", "\u2028", "'"),
        ]
    ),
)
headers = st.lists(
    st.sampled_from(["recipient", "Recipient ", "code", "sku", "amount", "currency", "note", "", "x", "X", "!", "?"])
    | TEXTS,
    max_size=6,
)
ragged = st.lists(st.lists(cells, max_size=6), max_size=12)
fitting = st.lists(st.tuples(st.sampled_from(NUMBERS), cells, cells, cells), min_size=1, max_size=12)


def written(rows: list[list[str]], delimiter: str, ending: str, quoting: int) -> str:
    """Write a table as some program may: line ends of its own, quotes everywhere or where they must be."""
    out = io.StringIO()
    escaped = "\\" if quoting == csv.QUOTE_NONE else None
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting, escapechar=escaped)  # type: ignore[arg-type]
    for row in rows:
        cells = ["" if "\x00" in cell else cell for cell in row]
        writer.writerow(["x"] if cells == [""] else cells)  # a lone empty cell cannot be written without quotes
    return out.getvalue()


shapes = (
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r", "\n\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE]),
)
tables = st.one_of(
    st.builds(lambda head, rows, *shape: written([head, *rows], *shape), headers, ragged, *shapes),
    st.builds(
        lambda rows, *shape: written([["recipient", "code", "amount", "x"], *map(list, rows)], *shape), fitting, *shapes
    ),
)
encodings = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-7"]
)


def damaged(content: bytes, place: int, put: bytes) -> bytes:
    """Put something into the middle of a file."""
    at = place % (len(content) + 1)
    return content[:at] + put + content[at:]


whole = st.builds(lambda table, encoding: table.encode(encoding, "replace"), tables, encodings)
files = st.one_of(
    whole,
    whole,
    st.builds(
        damaged,
        whole,
        st.integers(0, 500),
        st.sampled_from([b'"', b"\x00", b"\xff", b"\r", b"\n", b"\xef\xbb\xbf", b","]),
    ),
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda rest: b"recipient,code\n" + rest),
    st.sampled_from(
        [b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"sep=,", b"recipient", b"recipient\n", b'"recipient\n' * 9000]
    ),
)
terms = st.one_of(
    st.builds(
        lambda template: {"template": template}, st.sampled_from(["Hi", "{code}", "{code|you} {x|}", "{first_name}"])
    ),
    st.builds(
        lambda template, **parts: {"channel": "gift", "template": template, "currency": "AUD", "sku": "CARD", **parts},
        st.sampled_from([None, "{code}", "{x|for you}"]),
    ),
    st.just({"channel": "gift", "currency": "AUD", "sku": "CARD", "amount": "25.00", "budget": "100"}),
    st.just({"channel": "gift"}),
    st.just({"template": "{code}", "window": "09:00-20:00", "rate": "1000000/s", "region": "AU"}),
)
named = (
    st.none()
    | encodings
    | TEXTS
    | st.sampled_from(["idna", "punycode", "unicode_escape", "undefined", "base64", "ascii"])
)
delimiters = st.none() | st.sampled_from(["comma", "tab", "\\t", " ", '"', ";;"]) | TEXTS


@pytest.fixture
def campaigns(engine: Engine, clock: FakeClock) -> Campaigns:
    books = CampaignBooks(engine=engine)
    books.suppress(Channel.SMS, OPTED_OUT, By(actor="test", reason=None, now=clock.now()))
    books.suppress(Channel.GIFT, OPTED_OUT, By(actor="test", reason=None, now=clock.now()))
    return campaigns_on(engine, clock)


@pytest.fixture(params=[1, 2_000], ids=["a row a page", "one page"])
def _page_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    size: int = request.param
    monkeypatch.setattr(CampaignBooks, "page_size", property(lambda _: size))


@pytest.mark.usefixtures("_page_size")
def test_any_file_is_taken_in_whole_or_refused_by_name(campaigns: Campaigns, engine: Engine, tmp_path: Path) -> None:
    postgresql = engine.dialect.name == "postgresql"

    @examples(60 if postgresql else 150)
    @given(content=files, wanted=terms, encoding=st.none() | named, delimiter=st.none() | delimiters)
    @example(
        content=b"recipient,code\n%s,\x7f\\.\n" % NUMBERS[5].encode(),
        wanted={"template": "{code}"},
        encoding=None,
        delimiter=None,
    )
    def takes_in(content: bytes, wanted: dict[str, Any], encoding: str | None, delimiter: str | None) -> None:
        path = tmp_path / "recipients.csv"
        path.write_bytes(content)
        _looked_at_and_taken_in(campaigns, engine, path, wanted, encoding=encoding, delimiter=delimiter)

    takes_in()


@pytest.mark.usefixtures("_page_size")
def test_any_rows_of_a_plain_file_add_up(campaigns: Campaigns, engine: Engine, tmp_path: Path) -> None:
    """The same with files that are mostly right, so that rows are what is looked at."""

    @examples(50 if engine.dialect.name == "postgresql" else 120)
    @given(rows=fitting, wanted=terms, shape=st.tuples(*shapes[:2], st.just(csv.QUOTE_ALL)))
    def takes_in(rows: list[tuple[str, ...]], wanted: dict[str, Any], shape: tuple[str, str, int]) -> None:
        path = tmp_path / "recipients.csv"
        table = written([["recipient", "code", "amount", "x"], *map(list, rows)], *shape)
        path.write_bytes(table.encode("utf-8", "replace"))
        _looked_at_and_taken_in(campaigns, engine, path, wanted)

    takes_in()


def test_every_program_exports_a_sheet_that_is_read_whole(campaigns: Campaigns, tmp_path: Path) -> None:
    """No row is lost, no unused column matters, and each text is what its owner sees in the sheet."""

    @examples(60)
    @given(sheet=sheets, program=st.sampled_from(PROGRAMS))
    def reads(sheet: Sheet, program: Callable[[Any], bytes]) -> None:
        path = tmp_path / "sheet.csv"
        path.write_bytes(program(sheet.table()))
        with TALLY.trying("sheets as programs export them", within=5):
            report = campaigns.dry_run(path, template="Hi {first_name|you}", channel="sms")
            opted_out = sum(number in OPTED_OUT for number, _ in sheet.rows)
            assert (report.rows, report.recipients, report.invalid) == (len(sheet.rows), len(sheet.rows) - opted_out, 0)
            seen = {str(sample.recipient): sample.text for sample in report.samples}
            names = {number: composed(name.strip()) for number, name in sheet.rows}
            assert seen == {number: f"Hi {'you' if is_blank(names[number]) else names[number]}" for number in seen}
            sent = sum(is_placeholder(name) for number, name in sheet.rows if number not in OPTED_OUT)
            assert sum(count for _, _, count in report.placeholders) == sent
            strict = campaigns.dry_run(path, template="Hi {first_name}", channel="sms")
            assert strict.invalid == sheet.missing

    reads()


def test_an_export_that_a_spreadsheet_saved_again_is_read(campaigns: Campaigns, tmp_path: Path) -> None:
    @examples(40)
    @given(saved=saved_exports())
    def reads(saved: tuple[bytes, int, int]) -> None:
        content, whole, rounded = saved
        path = tmp_path / "export.csv"
        path.write_bytes(content)
        with TALLY.trying("exports that a spreadsheet saved again", InvalidCampaign, within=5) as trial:
            report = campaigns.dry_run(path, template="Hi")
            assert (report.recipients + report.opted_out, report.invalid) == (whole, rounded)
        assert trial.accepted == (whole + rounded > 0)

    reads()


@pytest.mark.usefixtures("_page_size")
def test_any_values_of_python_add_up(campaigns: Campaigns, engine: Engine) -> None:
    """Here cells may hold what no file can: a NUL, half a surrogate pair."""
    given_rows = st.lists(
        st.sampled_from(NUMBERS)
        | TEXTS
        | st.dictionaries(
            st.sampled_from(["recipient", "code"]) | TEXTS,
            cells | st.none() | st.integers() | st.floats() | st.decimals() | st.booleans() | st.datetimes(),
        ),
        max_size=8,
    )

    @examples(40 if engine.dialect.name == "postgresql" else 80)
    @given(rows=given_rows, wanted=terms)
    def takes_in(rows: list[Any], wanted: dict[str, Any]) -> None:
        _looked_at_and_taken_in(campaigns, engine, rows, wanted)

    takes_in()


def test_any_file_of_opt_outs_is_noted_or_refused(engine: Engine, clock: FakeClock, tmp_path: Path) -> None:
    books = CampaignBooks(engine=engine)

    @examples(40 if engine.dialect.name == "postgresql" else 100)
    @given(content=files, channel=st.sampled_from([None, *Channel]))
    def notes(content: bytes, channel: Channel | None) -> None:
        path = tmp_path / "opt_outs.csv"
        path.write_bytes(content)
        before = _counted(engine)
        with TALLY.trying(f"files of opt-outs, {engine.dialect.name}", InvalidCampaign, within=5) as trial:
            by = By(actor="test", reason=None, now=clock.now())
            done = import_opt_outs(open_source(path), books, channel, by, columns={}, region="AU")
            assert done.invalid == sum(group.count for group in done.reasons.values())
            assert done.new + done.invalid <= done.rows
            assert _counted(engine)["dispatcher_suppressions"] == before["dispatcher_suppressions"] + done.new
        if trial.refusal is not None and _counted(engine) != before:
            raise TALLY.half(f"files of opt-outs, {engine.dialect.name}", f"refused ({trial.refusal}), yet some noted")

    notes()


def _looked_at_and_taken_in(
    campaigns: Campaigns, engine: Engine, recipients: Path | list[Any], wanted: dict[str, Any], **how: Any
) -> None:
    """Go through the dry run and the intake of one file: both say the same, and what is in the ledger is that."""
    surface, name = f"files of recipients, {engine.dialect.name}", f"campaign {next(_names)}"
    before = _counted(engine)
    with TALLY.trying(f"dry runs, {engine.dialect.name}", InvalidCampaign, within=5) as looked:
        report = campaigns.dry_run(recipients, name=name, **how, **wanted)
        assert report.rows == report.recipients + report.invalid + report.duplicates.count + report.opted_out
        assert report.invalid == sum(group.count for group in report.reasons.values())
        assert not any(number in repr(report) for number in NUMBERS), "a report's repr masks numbers"
    if _counted(engine) != before:
        raise TALLY.half(f"dry runs, {engine.dialect.name}", "a dry run wrote something")
    with TALLY.trying(surface, InvalidCampaign, within=5) as taken:
        created = campaigns.create(recipients, name=name, **how, **wanted)
        made = created.campaign
        assert looked.accepted
        assert made.rows_read == made.total + made.invalid + made.duplicates + made.opted_out == report.rows
        told = (report.recipients, report.invalid, report.duplicates.count, report.opted_out)
        assert told == (made.total, made.invalid, made.duplicates, made.opted_out)
        assert _messages(engine, made.id.hex) == made.total
        _without_formulas(campaigns, name)
    if taken.refusal is None:
        campaigns.cancel(name)
        return
    if _counted(engine) != before:
        raise TALLY.half(surface, f"refused ({taken.refusal}), and yet {_counted(engine)} instead of {before}")
    assert not looked.accepted or report.recipients == 0, f"the dry run took what the intake refused: {taken.refusal}"


def _counted(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in METADATA.tables
            if name != "dispatcher_audit"  # that a campaign was asked for and made none may well be told
        }


def _messages(engine: Engine, campaign: str) -> int:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT count(*) FROM dispatcher_messages WHERE replace(CAST(campaign_id AS text), '-', '') = :id"),
            {"id": campaign},
        )
        return int(found.scalar_one())


def _without_formulas(campaigns: Campaigns, name: str) -> None:
    from dispatcher.campaigns.export import rows

    for line in rows(campaigns.deliveries(name), reveal=True):
        assert not any(cell.startswith(("=", "@", "\t", "\r")) for cell in line)
