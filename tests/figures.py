"""Figures that runs come to, put into a page of the docs between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def show(text: str, name: str, pages: Sequence[str]) -> None:
    """Print a text, or put it into the pages that were named.

    :raises SystemExit: a page has no such markers.
    """
    if not pages:
        print(text)
    for page in map(Path, pages):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        told, places = between.subn(lambda match: f"{match[1]}{text}\n{match[2]}", page.read_text("utf-8"))
        if not places:
            raise SystemExit(f"{page} has no place for it: <!-- {name} --> and <!-- /{name} -->")
        page.write_text(told, "utf-8")
