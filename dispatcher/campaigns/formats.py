"""Names the format of files that are not CSV by their content, and says how to get a CSV from each."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

_BEGINNING = 64 * 1024
_AS_CSV = "save its sheet as 'CSV UTF-8' and give that file"
_UNPACK = "unpack it and give the CSV inside"
_EXPORT = "export the recipients as CSV from the program that made it"
_PASTE = "paste its table into a spreadsheet and save that as 'CSV UTF-8'"
_WRITE = "write it as CSV (pandas: to_csv)"
_BIFF = (b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00", b"\x09\x08\x08\x00", b"\x09\x08\x10\x00")
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    *((b"BZh%d1AY&SY" % level, "a bzip2 archive", _UNPACK) for level in range(1, 10)),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "an LZ4 archive", _UNPACK),
    (b"\x1f\x9d", "a compress (.Z) archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"%PDF-", "a PDF document", _EXPORT),
    (b"{\\rtf", "an RTF document", _PASTE),
    (b"PAR1\x15", "a Parquet file", _WRITE),
    (b"ARROW1\x00\x00", "an Arrow (Feather) file", _WRITE),
    (b"Obj\x01", "an Avro file", _WRITE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _WRITE),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV (sqlite3: .mode csv)"),
    (b"\x00\x01\x00\x00Standard ", "an Access database", _EXPORT),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", _EXPORT),
    (b"\xff\xd8\xff", "a JPEG image", _EXPORT),
    *((magic, "a GIF image", _EXPORT) for magic in (b"GIF87a", b"GIF89a")),
    (b"\x00\x05\x16\x07", "a companion file of macOS (its name begins with ._)", "give the file without ._"),
    (b"-----BEGIN PGP MESSAGE", "an encrypted file (PGP)", "decrypt it and give the CSV inside"),
    *((magic, "an Excel workbook (.xls, version 2 to 5)", _AS_CSV) for magic in _BIFF),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS: tuple[tuple[str, str, str], ...] = (
    ("EncryptedPackage", "an Excel workbook or another document with a password", f"open it, {_AS_CSV}"),
    ("WordDocument", "a Word document (.doc)", _PASTE),
    ("PowerPoint Document", "a PowerPoint presentation (.ppt)", _EXPORT),
    ("__substg1.0_", "an Outlook message (.msg)", "save its attachment and give that"),
    ("Workbook", "an Excel workbook (.xls)", _AS_CSV),
    ("Book", "an Excel workbook (.xls)", _AS_CSV),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_PARTS: tuple[tuple[str, str, str], ...] = (
    ("xl/workbook.bin", "an Excel workbook (.xlsb)", _AS_CSV),
    ("xl/", "an Excel workbook (.xlsx)", _AS_CSV),
    ("word/", "a Word document (.docx)", _PASTE),
    ("ppt/", "a PowerPoint presentation (.pptx)", _EXPORT),
    ("opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)", _AS_CSV),
    ("opendocument.text", "an OpenDocument text (.odt)", _PASTE),
    ("opendocument", "an OpenDocument file", _EXPORT),
    ("Index/Document.iwa", "an Apple Numbers or Pages document", "export it as CSV (File, Export To, CSV) in Numbers"),
    ("Index.zip", "an Apple Numbers or Pages document", "export it as CSV (File, Export To, CSV) in Numbers"),
)
_WRITTEN: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"<\?xml.*(?:progid=\W?excel|urn:schemas-microsoft-com:office:spreadsheet)", re.S),
        "an Excel workbook (XML)",
        _AS_CSV,
    ),
    (re.compile(r"<\?xml.*office:document", re.S), "a flat OpenDocument file", _AS_CSV),
    (
        re.compile(
            r"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body|table|meta|style)\b", re.S
        ),
        "an HTML page",
        f"open it in a spreadsheet, {_AS_CSV}",
    ),
    (re.compile(r"<\?xml|<!doctype"), "an XML file", _EXPORT),
    (
        re.compile(r"mime-version:|content-type:\s*multipart/"),
        "a web archive (.mht) or an e-mail",
        f"open it, {_AS_CSV}",
    ),
    (re.compile(r'\[?\s*\{\s*(?:"|\})|\[\s*(?:"|\[|\])'), "JSON", "write it as CSV, or give its rows from Python"),
    (re.compile(r"begin:vcard"), "a vCard file of contacts", "export the contacts as CSV"),
)
"""Formats that are text, by how they begin, in lower case."""


def other_format(path: Path) -> str | None:
    """Return the format of a file and how to get a CSV from it; None if it may be CSV.

    :raises OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begin = file.read(_BEGINNING)
    found = _found(path, begin)
    return None if found is None else f"is {found[0]}, not CSV; {found[1]}"


def _found(path: Path, begin: bytes) -> tuple[str, str] | None:
    for magic, name, advice in _MAGIC:
        if begin.startswith(magic):
            return name, _for_archive(path, advice)
    if begin.startswith(_ZIP):
        return _zip(path, begin)
    if begin.startswith(_OLE):
        return _ole(path)
    if begin[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    if (begin[:4] == b"RIFF" and b"\x00" in begin) or (begin[:2] == b"\x00\x00" and begin[4:8] == b"ftyp"):
        return "an image, a sound or a film", _EXPORT
    return _written(begin)


def _for_archive(path: Path, advice: str) -> str:
    if advice is not _UNPACK:
        return advice
    inner = path.name.rpartition(".")[0]
    return f"unpack it and give {inner}" if inner.lower().endswith((".csv", ".tsv", ".txt")) else advice


def _zip(path: Path, begin: bytes) -> tuple[str, str]:
    """Distinguish office documents from other archives by their members; a truncated file begins with some names."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            kind = archive.read("mimetype")[:200].decode("latin-1") if "mimetype" in names else ""
    except (BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError):
        names, kind = [], begin.decode("latin-1")
    text = "\n".join([kind, *names])
    for part, name, advice in _ZIP_PARTS:
        if part in text:
            return name, advice
    inside = [name for name in names if name.lower().endswith((".csv", ".tsv", ".txt")) and "__MACOSX" not in name]
    return "a ZIP archive", f"unpack it and give {_shown(inside[0])}" if len(inside) == 1 else _UNPACK


def _shown(name: str) -> str:
    return "".join(each if each.isprintable() else "_" for each in name)[-100:]


def _ole(path: Path) -> tuple[str, str]:
    """Search a compound file, the format of Office until 2007, for the names of its streams."""
    with path.open("rb") as file:
        found = _streams(iter(lambda: file.read(1 << 20), b""))
    for stream, name, advice in _OLE_STREAMS:
        if stream in found:
            return name, advice
    return "an old Office document, most likely an Excel workbook (.xls)", _AS_CSV


def _streams(pieces: Iterable[bytes]) -> set[str]:
    found: set[str] = set()
    tail = b""
    for piece in pieces:
        window = tail + piece
        found.update(name for name, _, _ in _OLE_STREAMS if name.encode("utf-16-le") in window)
        tail = window[-64:]
    return found


def _written(begin: bytes) -> tuple[str, str] | None:
    """Recognise formats that are text: markup, JSON, contacts."""
    encoding = "utf-16" if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    text = begin[:4096].decode(encoding, "ignore").lstrip().lower()
    for pattern, name, advice in _WRITTEN:
        if pattern.match(text):
            return name, advice
    return None
