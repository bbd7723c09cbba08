"""A campaign from an upload over HTTP: looked at, confirmed, taken in; and everything that is to be refused."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import requests

from dispatcher.campaigns import Campaigns
from dispatcher.domain.errors import CampaignRefused, InvalidCampaign, LedgerUnavailable
from dispatcher.domain.message import Channel
from dispatcher.domain.state import CampaignState
from dispatcher.ledger import By, Campaign, CampaignBooks
from dispatcher.web import campaign_making
from dispatcher.web.uploads import Uploads
from dispatcher.wiring import Services
from tests.campaigns.making import numbers
from tests.hearing import events
from tests.web.conftest import Site, serve

TEXT = "Hi {first_name|there},\nuntil Sunday"
FILE = "recipient,first_name\n" + "".join(f"{number},Name{place}\n" for place, number in enumerate(numbers(5)))


def look(site: Site, content: str | bytes | None = FILE, *, filename: str = "spring.csv", **more: str) -> Any:
    """Send the form as a browser does, with a file or without one."""
    form = {"channel": "sms", "template": TEXT, "name": "spring"} | more
    origin, form["token"] = form.pop("origin", "same-origin"), form.get("token") or site.token("/campaigns/new")
    body = b"" if content is None else content.encode() if isinstance(content, str) else content
    return site.visitor.post(
        f"{site.url}/campaigns/new",
        data={name: value.replace("\n", "\r\n") for name, value in form.items()},
        files={"file": ("" if content is None else filename, body)},
        headers={"Sec-Fetch-Site": origin},
        timeout=20,
        allow_redirects=False,
    )


def hidden(page: requests.Response) -> dict[str, str]:
    """Return what the forms of a page carry unseen."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    return {name: unescape(value) for name, value in found}


def problem(page: requests.Response, field: str) -> str:
    """Return what is said to be wrong with a field, beside it."""
    box = page.text.split(f'id="{field}"')[1].split("<label")[0]
    assert 'aria-invalid="true"' in box
    return unescape(box.split(f'id="problem-{field}">')[1].split("</p>")[0])


def confirm(site: Site, page: requests.Response, **changes: str) -> requests.Response:
    """Press the button of a report."""
    assert page.status_code == 200, page.text
    form = {name: value.replace("\n", "\r\n") for name, value in hidden(page).items()}
    return site.post("/campaigns/create", **form | changes)


def loaded(site: Site, name: str = "spring") -> Campaign:
    """Wait until the intake is complete."""
    for _ in range(400):
        found = site.services.campaign_books.find(name)
        if found.loaded_at is not None:
            return found
        time.sleep(0.025)
    raise AssertionError(f"the intake of {name} stands at row {found.rows_read}")


def uploads(site: Site) -> list[Path]:
    return sorted((site.services.settings.home / "uploads").glob("*"))


def gone(site: Site) -> bool:
    """Wait until no upload is left."""
    return any(time.sleep(0.02) or not uploads(site) for _ in range(200))  # type: ignore[func-returns-value]


def untouched(site: Site) -> bool:
    books = site.services.inspection_books
    return site.services.campaign_books.listed() == [] and books.audit(subject=None, limit=5, before=None) == []


@pytest.fixture
def money(guarded: Site) -> Site:
    guarded.sign_in("mona")
    return guarded


def test_a_file_is_looked_at_confirmed_and_becomes_a_draft(site: Site) -> None:
    report = look(site)
    assert "Create 5 recipients as a draft" in report.text
    assert untouched(site)
    (upload,) = uploads(site)
    assert stat.S_IMODE(upload.stat().st_mode) == 0o600
    assert stat.S_IMODE(upload.parent.stat().st_mode) == 0o700
    moved = confirm(site, report)
    campaign = loaded(site)
    assert (moved.status_code, moved.headers["Location"]) == (303, f"/campaigns/{campaign.id}")
    assert (campaign.state, campaign.total, campaign.template) == (CampaignState.DRAFT, 5, TEXT)
    assert (campaign.source, campaign.created_by) == ("spring.csv", "web:local")
    assert gone(site)
    assert "Start now" in site.get(moved.headers["Location"]).text
    (entry,) = site.services.inspection_books.audit(subject=None, limit=5, before=None)
    assert (entry.actor, entry.action) == ("web:local", "create campaign")
    message = site.services.operator("test").search("campaign:spring", limit=9)[0]
    assert message.body is not None
    assert re.fullmatch(r"Hi Name\d,\nuntil Sunday", message.body), "line ends are those that were typed"


def test_with_a_start_it_is_scheduled_with_all_its_terms(site: Site) -> None:
    content = "Mobile;first_name\n0491 570 006;Zoë\n".encode("cp1252")
    terms = {"window": "09:00-20:00", "rate": "20/s", "region": "AU", "map": "Mobile=recipient", "encoding": "cp1252"}
    more = {"starts_at": "2030-03-01T09:00", "expires_at": "2030-03-08T09:00", "delimiter": "semicolon"}
    report = look(site, content, name="", **terms, **more)
    assert "It starts by itself at 2030-03-01 09:00:00 UTC." in report.text
    confirm(site, report)
    campaign = loaded(site)
    assert (campaign.state, f"{campaign.starts_at:%Y-%m-%d %H:%M}") == (CampaignState.SCHEDULED, "2030-03-01 09:00")
    assert f"{campaign.expires_at:%Y-%m-%d %H:%M}" == "2030-03-08 09:00"
    assert (campaign.send_window, campaign.region, campaign.total) == ("09:00-20:00", "AU", 1)


def test_gifts_with_a_budget(site: Site) -> None:
    gift = {"channel": "gift", "template": "", "sku": "COFFEE", "amount": "5", "currency": "AUD"}
    report = look(site, budget="20.00 10/day", **gift)
    assert "AUD 25.00</h3>" in report.text
    assert "The budget does not cover it: AUD 25.00 for all of them." in report.text
    confirm(site, report)
    campaign = loaded(site)
    assert (campaign.channel, campaign.budget, campaign.total) == (Channel.GIFT, "20.00 10.00/day", 5)
    assert "none: nothing stops it but a pause" in look(site, name="other", **gift).text


def test_the_report_tells_all_that_the_command_line_tells(money: Site) -> None:
    first, *_, last = known = numbers(5)
    by = By(actor="test", reason=None, now=money.services.clock.now())
    money.services.campaign_books.suppress(Channel.SMS, [last], by)
    bad = f"{first},Twice\n12,Short\nabc,Word\n,Nobody\n{first},a,b\n"
    page = look(money, FILE.replace("Name0", "Zoë’s") + bad, rate="2/s").text
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))
    for told in (
        "4 of 10 rows 4 invalid 1 duplicate, 1 opted out",
        "4 SMS parts UCS-2 1 message, 1 part GSM-7 3 messages, 3 parts",
        "at present 2.0 s at 2/s, over at",
        "Line 2, to +61•••••••00 Hi Zoë’s, until Sunday",
        "1 number is not E.164: it has no + (spreadsheets remove it); write it as +61491570006, or set",
        "1 number has the letter 'a'; give the digits of one number: character 1 9",
        "11 +61•••••••00 has 3 cells where the header has 2",
        "1 row whose number is in the file before: lines 7",
        "’ right single quotation mark 1",
        "40% of the rows are invalid: is it the right file?",
        "The file was read as utf-8, commas.",
    ):
        assert told in text, (told, text)
    assert not [number for number in known if number in page], "numbers are masked"


def test_the_report_warns_as_the_dry_run_does(money: Site) -> None:
    content = (
        "recipient,first_name,,\r\n+33612345678,NULL\r\n,,\r\n+79161234567,Zoe\u0308,,x\r\n+33612345679,Zoe\u0308\r\n"
    )
    page = look(money, content, template="Hi {{name}} {first_name}", window="09:00-12:00")
    text = " ".join(re.sub(r"<[^>]*>", " ", unescape(page.text)).split())
    for said in (
        "{{name}} is sent literally, as {name}",
        "Column 'first_name' says in 1 message that it has no value, and that is sent as text: NULL (1)",
        "text form 1 text put into composed form (NFC)",
        "for 2 recipients in Europe/Paris",
        "never opens for 1 row, left out as invalid",
        "window is never open before the messages expire",
    ):
        assert said in text, (said, text)


def test_pages_say_until_when_a_window_is_closed(money: Site) -> None:
    campaigns = money.services.campaigns("test")
    opens = money.services.clock.now().replace(second=0, microsecond=0) + timedelta(hours=2)
    window = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M} UTC"
    made = campaigns.create(numbers(2, first=777_000), name="at night", template="Hi", window=window)
    campaigns.start(made.id)
    sentence = f"closed until {opens:%Y-%m-%d %H:%M}:00 UTC"
    for path in ("/", "/campaigns", f"/campaigns/{made.id}"):
        assert sentence in money.visitor.get(f"{money.url}{path}", timeout=20).text, path
    campaigns.cancel(made.id)
    assert sentence not in money.visitor.get(f"{money.url}/", timeout=20).text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is missing; choose one"),
        (b"", "is empty; give one with a header"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff", "is a PNG image, not CSV; export"),
        (b"PK\x03\x04 [Content_Types].xml xl/workbook.xml", "is an Excel workbook (.xlsx), not CSV; save its sheet as"),
        (b"\x1f\x8b\x08\x00", "is a gzip archive, not CSV; unpack it"),
        (b"<html><table>", "is an HTML page, not CSV"),
        (b"recipient,a b,A-B\n+61491570006,x,y\n", "columns 'a b' (column 2) and 'A-B' (column 3) are both a_b"),
        (b"recipient\n\x00\x00\n", "line 2 holds a NUL"),
        (b"recipient,first_name\n", "has a header and no row"),
        (b"+61491570006\n+61491570007\n", "has no header"),
        (b"phone,first_name\n+61491570006,x\n", "say which it is, e.g. Columns: phone=recipient"),
        (b'recipient,first_name\n+61491570006,"x\n', "line 2: a quote is never closed"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_beside_its_field(money: Site, content: bytes | None, sentence: str) -> None:
    ambiguous = {"template": "{a b}, until Sunday"} if content is not None and b"A-B" in content else {}
    answer = look(money, content, **ambiguous)
    assert answer.status_code == 400
    assert sentence in problem(answer, "file")
    assert "until Sunday" in answer.text, "what was typed is kept"
    assert untouched(money)


@pytest.mark.parametrize(
    ("terms", "field", "sentence"),
    [
        ({"template": ""}, "template", "is empty; give the text"),
        ({"template": "Hi {nobody}"}, "template", "{nobody} is no column of the file"),
        ({"name": "x" * 201}, "name", "is not 1 to 200 printable characters"),
        ({"channel": "fax"}, "channel", "'fax' is not one of sms, gift"),
        ({"window": "9 to 5"}, "window", "write it as 09:00-20:00"),
        ({"rate": "fast"}, "rate", "write it as 50/s"),
        ({"region": "Oz"}, "region", "is not a country's code"),
        ({"encoding": "utf-9"}, "encoding", "is not the name of an encoding"),
        ({"delimiter": "ab"}, "delimiter", "is not one character"),
        ({"map": "Mobile"}, "map", "is not column=field"),
        ({"map": "Mobile=recipient"}, "map", "there is no column 'Mobile'"),
        ({"starts_at": "soon"}, "starts_at", "write it as 2026-11-24T09:00, in UTC"),
        ({"starts_at": "0001-01-01T00:00+10:00"}, "starts_at", "is not a moment"),
        ({"starts_at": "2020-01-01T00:00"}, "starts_at", "is past"),
        ({"starts_at": "2030-01-02T00:00", "expires_at": "2030-01-01T00:00"}, "expires_at", "not after its start"),
        ({"sku": "COFFEE"}, "sku", "is for gifts"),
        ({"channel": "gift", "sku": "COFFEE"}, "amount", "is neither given nor a column"),
        ({"channel": "gift", "sku": "COFFEE", "amount": "5"}, "currency", "is missing"),
        ({"channel": "gift", "sku": "COFFEE", "budget": "5"}, "budget", "give Currency, e.g. AUD"),
        ({"channel": "gift", "amount": "x", "currency": "AUD", "sku": "A"}, "amount", "write it as 25.00"),
        (
            {"channel": "gift", "amount": "1", "currency": "AUD", "sku": "A", "budget": "lots"},
            "budget",
            "is not a budget",
        ),
    ],
)
def test_terms_that_are_wrong_are_told_beside_their_field(
    money: Site, terms: dict[str, str], field: str, sentence: str
) -> None:
    answer = look(money, **terms)
    assert answer.status_code == 400
    assert sentence in problem(answer, field)
    assert "spring.csv is here already" in answer.text
    assert " required" not in answer.text.split('id="file"')[1].split(">")[0], "the file need not be chosen again"
    assert untouched(money)


def test_what_is_put_right_needs_no_second_upload(money: Site) -> None:
    kept = hidden(look(money, window="9 to 5"))
    report = look(money, None, **{name: kept[name] for name in ("upload", "source", "kept")})
    assert "Create 5 recipients" in report.text
    form = money.post("/campaigns/new", **hidden(report), change="1")
    assert (form.status_code, 'aria-invalid="true"' in form.text) == (200, False)
    assert "{first_name|there},\nuntil Sunday</textarea>" in form.text
    kept = hidden(form)
    again = look(money, FILE + FILE.replace("recipient,first_name\n", ""), filename="other.csv", **kept)
    assert "5 duplicates" in again.text
    assert [path.stem for path in uploads(money)] == [hidden(again)["upload"]], "the one that was replaced is gone"
    confirm(money, again)
    assert loaded(money).source == "other.csv"


def test_html_is_inert_wherever_it_stands(money: Site) -> None:
    evil = "<script>alert(1)</script>"
    content = f"recipient,first_name,{evil}\n{numbers(1)[0]},{evil},x\n{evil},a,x\n"
    pages = [
        look(money, content, filename=f"{evil}.csv", name=f'{evil}"', template=f"{evil} {{first_name}}", rate="1/s"),
        look(money, content, filename=f"{evil}.csv", name=evil, window=f'"{evil}'),
        look(money, content, name=evil, template=evil + "{nobody}"),
    ]
    assert [page.status_code for page in pages] == [200, 400, 400]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    confirm(money, pages[0])
    campaign = loaded(money, f'{evil}"')
    assert "<script>alert" not in money.get(f"/campaigns/{campaign.id}").text


def test_only_who_operates_makes_campaigns_and_only_who_may_pay_makes_gifts(guarded: Site) -> None:
    guarded.sign_in("vera")
    assert "/campaigns/new" not in guarded.get("/campaigns").text
    assert guarded.get("/campaigns/new").status_code == 403
    token = guarded.token("/")
    assert look(guarded, token=token).status_code == 403
    assert guarded.post("/campaigns/create", token=token).status_code == 403
    guarded.visitor.cookies.clear()
    guarded.sign_in("otto")
    assert guarded.get("/campaigns").text.count("/campaigns/new") == 2
    assert 'value="gift"' not in guarded.get("/campaigns/new").text
    gift = {"sku": "COFFEE", "amount": "5", "currency": "AUD"}
    for channel in ("gift", " gift\t"):
        assert look(guarded, channel=channel, **gift).status_code == 403
    assert guarded.post("/campaigns/create", on="/campaigns/new", channel="gift").status_code == 403
    assert uploads(guarded) == []
    assert look(guarded).status_code == 200
    assert untouched(guarded)


def test_nothing_is_taken_from_another_site_or_without_the_forms_token(money: Site) -> None:
    report = look(money)
    for foreign in ("cross-site", "same-site", "none"):
        assert look(money, origin=foreign).status_code == 403
        assert money.post("/campaigns/create", site=foreign, **hidden(report)).status_code == 403
    for bad in ("0" * 64, "é"):
        assert look(money, token=bad).status_code == 403
        assert confirm(money, report, token=bad).status_code == 403
    assert len(uploads(money)) == 1
    money.visitor.cookies.clear()
    assert confirm(money, report).status_code == 401
    assert untouched(money)


@pytest.mark.parametrize("size", [30_000, 3_000_000])
def test_a_file_that_is_too_large_is_refused_with_a_sentence(
    money: Site, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_making, "MOST_BYTES", 20_000)
    content = "recipient\n" + f"{numbers(1)[0]}\n" * (size // 13)
    answer = look(money, content)
    assert answer.status_code == 413
    assert "larger than 0.01907 MB; divide it" in answer.text
    assert ('id="file"' in answer.text) is (size < 1_000_000), "far too large, it is not even read to its end"
    assert uploads(money) == []
    assert look(money).status_code == 200


def test_a_body_without_a_length_is_cut_off_as_well(money: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_making, "MOST_BYTES", 20_000)
    token = money.token("/campaigns/new").encode()
    head = b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n' + token + b"\r\n"
    head += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    answer = money.visitor.post(
        f"{money.url}/campaigns/new",
        data=iter([head, *[b"x" * 100_000] * 30, b"\r\n--x--\r\n"]),
        headers={"Sec-Fetch-Site": "same-origin", "Content-Type": "multipart/form-data; boundary=x"},
        timeout=20,
    )
    assert (answer.status_code, 'id="file"' in answer.text) == (413, False)


def test_a_full_disk_is_told(money: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    answer = look(money)
    assert (answer.status_code, "No space left on device" in answer.text) == (507, True)
    assert uploads(money) == []


@pytest.mark.parametrize(
    "change",
    [
        {"seal": ""},
        {"seal": "é.é"},
        {"seal": "1.abc"},
        {"name": "other"},
        {"template": "Hi"},
        {"starts_at": "2030-01-01T00:00"},
        {"upload": "0" * 32},
        {"upload": "../../../etc/passwd"},
        {"source": "../x.csv"},
        {"kept": "1.abc"},
    ],
)
def test_what_was_not_shown_is_not_created(money: Site, change: dict[str, str]) -> None:
    answer = confirm(money, look(money), **change)
    assert answer.status_code == 409
    assert "The report is older than a quarter of an hour; look at it again." in answer.text
    assert untouched(money)


def test_an_upload_is_only_found_by_an_id_of_ours(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x")
    uploads = Uploads(folder=tmp_path / "uploads")
    with (tmp_path / "secret.csv").open("rb") as file:
        id_ = uploads.keep(file)
    assert uploads.find(id_) == tmp_path / "uploads" / f"{id_}.csv"
    for bad in ("../secret", f"../uploads/{id_}", f"{id_}\n", id_.upper() + "\x00", "", "0" * 32):
        assert uploads.find(bad) is None


@pytest.mark.parametrize(
    "filename", ["../../etc/cron.d/x", "C:\\lists\\x", "..", "\u202egpj.csv", "a" * 300, "\x1b[2J"]
)
def test_a_files_own_name_leads_nowhere(money: Site, filename: str) -> None:
    report = look(money, filename=filename)
    confirm(money, report)
    source = loaded(money).source or ""
    assert source.isprintable()
    assert 0 < len(source) <= 60
    assert not {"/", "\\"} & set(source)


def test_a_report_grows_old_and_is_looked_at_again_without_a_second_upload(
    money: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, real = look(money), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 16 * 60)
    answer = confirm(money, report)
    assert answer.status_code == 409
    assert untouched(money)
    again = look(money, None, **hidden(answer))
    assert confirm(money, again).status_code == 303
    assert loaded(money).total == 5


def test_a_name_that_is_taken_is_told_before_and_at_the_very_end(money: Site) -> None:
    report = look(money)
    campaigns = money.services.campaigns("test")
    other = campaigns.create(numbers(1), name="spring", template="Hi").campaign
    for answer, code in ((look(money), 400), (confirm(money, report), 409)):
        assert answer.status_code == code
        assert "already belongs to" in problem(answer, "name")
        assert "spring.csv is here already" in answer.text
    assert [each.id for each in campaigns.books.listed()] == [other.id]
    campaigns.cancel(other.id)
    assert confirm(money, look(money)).status_code == 303, "a cancelled one gives its name back"


def test_a_start_that_passes_before_it_is_confirmed_is_told(money: Site) -> None:
    soon = money.services.clock.now() + timedelta(seconds=1.5)
    report = look(money, starts_at=f"{soon:%Y-%m-%dT%H:%M:%S.%f}")
    time.sleep(1.6)
    answer = confirm(money, report)
    assert answer.status_code == 400
    assert "is past" in problem(answer, "starts_at")
    assert untouched(money)


def test_confirmed_twice_it_is_made_once(site: Site) -> None:
    report = look(site)
    with ThreadPoolExecutor() as together:
        places = {moved.headers["Location"] for moved in together.map(lambda _: confirm(site, report), range(4))}
    campaign = loaded(site)
    assert places == {f"/campaigns/{campaign.id}"}
    assert gone(site)
    assert confirm(site, report).headers["Location"] == f"/campaigns/{campaign.id}", "long after, too"
    assert len(site.services.campaign_books.listed()) == 1
    assert campaign.total == 5


@pytest.mark.parametrize(
    "error",
    [
        CampaignRefused("spring", "being loaded by another process", "loaded", allowed="let that one finish"),
        FileNotFoundError(errno.ENOENT, "gone"),
        InvalidCampaign("file", "cannot be read"),
    ],
)
def test_the_slower_of_two_confirmations_leads_to_the_campaign_too(
    money: Site, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = look(money)
    (upload,) = uploads(money)
    place = confirm(money, report).headers["Location"]
    loaded(money)
    assert gone(money)

    def create(_: Campaigns, recipients: Path, **__: object) -> None:
        upload.unlink()
        raise error

    upload.write_text(FILE)
    monkeypatch.setattr(Campaigns, "create", create)
    assert confirm(money, report).headers["Location"] == place


@pytest.mark.parametrize("name", ["new", "a/b", "..", "50 % & more?", "create"])
def test_whatever_it_is_called_its_page_is_found(money: Site, name: str) -> None:
    moved = confirm(money, look(money, name=name))
    loaded(money, name)
    page = money.get(moved.headers["Location"])
    assert page.status_code == 200
    assert "Start now" in page.text


def test_an_intake_that_failed_goes_on_when_it_is_confirmed_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, away = CampaignBooks.load, [True]

    def load(books: CampaignBooks, campaign: Campaign, page: Any, **more: Any) -> Any:
        if page.before and away[0]:
            raise LedgerUnavailable("the ledger is away")
        return real(books, campaign, page, **more)

    monkeypatch.setattr(CampaignBooks, "page_size", 2)
    monkeypatch.setattr(CampaignBooks, "load", load)
    report = look(site)
    moved = confirm(site, report)
    for _ in range(200):
        if events(caplog):
            break
        time.sleep(0.02)
    assert moved.status_code == 303
    (failed,) = events(caplog)
    assert {"event": "intake_failed", "level": "error", "campaign": "spring"}.items() <= failed.items()
    assert (failed["upload"], failed["reason"]) == (uploads(site)[0].stem, "the ledger is away")
    assert "Its intake stands at row <strong>2</strong>" in site.get(moved.headers["Location"]).text
    away[0] = False
    again = look(site)
    assert "its intake stands at row 2" in again.text, "the same upload again goes on as well"
    assert confirm(site, report).headers["Location"] == moved.headers["Location"]
    assert loaded(site).total == 5
    found = [str(message.recipient) for message in site.services.operator("test").search("campaign:spring", limit=99)]
    assert sorted(found) == numbers(5), "each once"


def test_an_intake_that_somebody_calls_off_is_no_failure(
    money: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = CampaignBooks.load

    def load(books: CampaignBooks, campaign: Campaign, page: Any, **more: Any) -> Any:
        if page.before:
            money.services.campaigns("test").cancel(campaign.id)
        return real(books, campaign, page, **more)

    monkeypatch.setattr(CampaignBooks, "page_size", 2)
    monkeypatch.setattr(CampaignBooks, "load", load)
    confirm(money, look(money))
    for thread in threading.enumerate():
        if thread.name == "intake":
            thread.join(5)
    campaign = money.services.campaign_books.find("spring")
    assert (campaign.state, campaign.total, events(caplog)) == (CampaignState.CANCELLED, 2, [])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_intake_that_was_killed_goes_on_with_the_same_upload(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real, died = CampaignBooks.load, threading.Event()

    def load(books: CampaignBooks, campaign: Campaign, page: Any, **more: Any) -> Any:
        if page.before and not died.is_set():
            died.set()
            raise SystemExit
        return real(books, campaign, page, **more)

    monkeypatch.setattr(CampaignBooks, "page_size", 2)
    monkeypatch.setattr(CampaignBooks, "load", load)
    confirm(site, look(site, starts_at="2030-01-01T00:00"))
    assert died.wait(5)
    for url in serve(Services(site.services.settings)):  # the next process knows no seal of the last one
        after = replace(site, url=url)
        moved = confirm(after, look(after))
    assert moved.status_code == 303
    campaign = loaded(site)
    assert (campaign.total, campaign.state) == (5, CampaignState.SCHEDULED), "its start is that of the beginning"


def test_who_confirms_waits_no_longer_than_some_seconds(money: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_making, "BEGUN_S", 0.0)
    moved = confirm(money, look(money))
    assert moved.headers["Location"] == "/campaigns?said=spring+is+being+taken+in."
    for _ in range(100):
        if money.services.campaign_books.listed():
            break
        time.sleep(0.02)
    assert loaded(money).total == 5


def test_uploads_that_nobody_confirmed_go_after_a_day(money: Site) -> None:
    look(money)
    (old,) = uploads(money)
    past = time.time() - 25 * 3600
    os.utime(old, (past, past))
    look(money, name="other")
    assert old not in uploads(money)
    assert len(uploads(money)) == 1


def test_an_upload_that_is_gone_is_to_be_chosen_again(money: Site) -> None:
    report = look(money)
    uploads(money)[0].unlink()
    answer = confirm(money, report)
    assert answer.status_code == 409
    assert "is not here any more; choose it again" in answer.text
    assert untouched(money)


def test_nobody_to_send_to_is_nothing_to_create(money: Site) -> None:
    report = look(money, "recipient,first_name\n12,x\n")
    assert "Nobody would get a message." in report.text
    assert 'id="go"' not in report.text
    assert confirm(money, report).status_code == 409, "nor by hand"
    assert untouched(money)
