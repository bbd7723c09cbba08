"""Files that are no CSV: named by their content, with how to get a CSV."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pytest

from dispatcher.campaigns.source import open_source
from dispatcher.domain.errors import InvalidCampaign

CSV = b"recipient,name\n+61491570006,Ann\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def zipped(*names: str, mimetype: str | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype is not None:
            archive.writestr("mimetype", mimetype, zipfile.ZIP_STORED)
        for name in names:
            archive.writestr(name, CSV)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("list.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return out.getvalue()


def database(path: Path) -> bytes:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE people (recipient)")
    connection.close()
    return path.read_bytes()


def ole(stream: str) -> bytes:
    return OLE + bytes(2_000_000) + stream.encode("utf-16-le") + bytes(600)


XLSX = zipped("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml")
SPREADSHEET = "application/vnd.oasis.opendocument.spreadsheet"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (XLSX, "is an Excel workbook (.xlsx), not CSV; save its sheet as 'CSV UTF-8'"),
        (XLSX[: len(XLSX) // 2], "is an Excel workbook (.xlsx)"),  # cut off
        (zipped("xl/workbook.bin"), "is an Excel workbook (.xlsb)"),
        (zipped("content.xml", mimetype=SPREADSHEET), "is an OpenDocument spreadsheet (.ods)"),
        (zipped("word/document.xml"), "is a Word document (.docx)"),
        (zipped("Index/Document.iwa"), "is an Apple Numbers or Pages document"),
        (zipped("list.csv", "__MACOSX/._list.csv"), "is a ZIP archive, not CSV; unpack it and give list.csv"),
        (zipped("a.csv", "b.csv"), "is a ZIP archive, not CSV; unpack it and give the CSV inside"),
        (zipped(), "is a ZIP archive"),
        (ole("Workbook"), "is an Excel workbook (.xls)"),
        (ole("EncryptedPackage"), "is an Excel workbook or another document with a password"),
        (ole("WordDocument"), "is a Word document (.doc)"),
        (OLE + bytes(600), "is an old Office document, most likely an Excel workbook (.xls)"),
        (b"\x09\x08\x10\x00\x00\x06\x05\x00", "is an Excel workbook (.xls, version 2 to 5)"),
        (gzip.compress(CSV), "is a gzip archive, not CSV; unpack it and give list.csv"),
        (bz2.compress(CSV), "is a bzip2 archive"),
        (lzma.compress(CSV), "is an xz archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "is a Zstandard archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(20), "is a 7-Zip archive"),
        (b"Rar!\x1a\x07\x01\x00", "is a RAR archive"),
        (tarred(), "is a tar archive"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"{\\rtf1\\ansi", "is an RTF document"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "is a PNG image"),
        (b"PAR1\x15\x04" + bytes(20), "is a Parquet file"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><table>", "is an HTML page"),
        ("\ufeff<html><body><table>".encode("utf-16-le"), "is an HTML page"),
        (b"<table border=1><tr><td>recipient", "is an HTML page"),
        (b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n<x>', "is an Excel workbook (XML)"),
        (b'<?xml version="1.0"?>\n<people>', "is an XML file"),
        (
            b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
            "is an Excel workbook (XML)",
        ),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related", "is a web archive (.mht)"),
        (b'[{"recipient": "+61491570006"}]', "is JSON"),
        (b'{"recipient": "+61491570006"}\n{', "is JSON"),
        (b"BEGIN:VCARD\r\nVERSION:3.0", "is a vCard file"),
        (b"\x00\x05\x16\x07\x00\x02", "is a companion file of macOS"),
        (b"-----BEGIN PGP MESSAGE-----\n", "is an encrypted file (PGP)"),
    ],
)
@pytest.mark.parametrize("name", ["list.csv.gz", "list.csv"])
def test_a_file_of_another_format_is_named_as_that(tmp_path: Path, content: bytes, sentence: str, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InvalidCampaign) as refused:
        open_source(file)
    if name == "list.csv":
        sentence = sentence.replace("a gzip archive, not CSV; unpack it and give list.csv", "a gzip archive")
    assert sentence in str(refused.value)


def test_a_database_is_named_as_that(tmp_path: Path) -> None:
    content = database(tmp_path / "x.db")
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InvalidCampaign, match="is an SQLite database"):
        open_source(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "header",
    ["ORCID,recipient", "BZh,recipient", "PAR1,recipient", "GIF8,recipient", "recipient,<html>", "RIFF,recipient"],
)
def test_a_header_that_begins_as_another_format_is_a_header(tmp_path: Path, header: str) -> None:
    file = tmp_path / "x.xlsx"
    file.write_text(f"{header}\n1,2\n")
    assert ",".join(open_source(file).columns) == header
