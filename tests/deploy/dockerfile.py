"""The Dockerfile as tests see it: stages, and what each inherits; and what .dockerignore lets into the context."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tests.deploy.composed import PROJECT

KNOWN = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD", "EXPOSE"}
"""What this Dockerfile is made of; what is not here (ADD, HEALTHCHECK, SHELL …) wants a reason first."""


@dataclass(slots=True)
class Stage:
    """One stage: its instructions after those of the stage that it is built from."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Return the arguments of every instruction of a kind, in their order."""
        return [arguments for each, arguments in self.instructions if each == name]

    def last(self, name: str) -> str:
        """Return the arguments of the one that holds."""
        return self.all(name)[-1]

    @property
    def entry(self) -> list[str]:
        """The entry point; written as a list, so that signals reach the program and not a shell."""
        return [str(word) for word in json.loads(self.last("ENTRYPOINT"))]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its commands and of the containers that it becomes, where a value names no other."""
        pairs = [pair.split("=", 1) for line in self.all("ENV") for pair in line.split()]
        return {name: value for name, value in pairs if "$" not in value}

    @property
    def copied(self) -> list[tuple[list[str], str]]:
        """What is copied from the context: the sources, and where to."""
        found = [each.split() for each in self.all("COPY") if not each.startswith("--from=")]
        return [(words[:-1], words[-1]) for words in found]


def stages() -> dict[str, Stage]:
    """Return the stages by name, in their order."""
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for name, arguments in _instructions((PROJECT / "Dockerfile").read_text()):
        assert name in KNOWN, f"{name} {arguments}"
        if name == "FROM":
            base, word, title = arguments.split()
            assert word.upper() == "AS", f"FROM {arguments}: the stage has no name"
            current = Stage(base, list(found[base].instructions) if base in found else [])
            found[title] = current
        elif current is not None:
            current.instructions.append((name, arguments))
        else:
            assert name == "ARG", f"{name} stands before any stage"
    return found


def source_of(image: str) -> str:
    """Return the stage that builds what an image holds."""
    (copied,) = stages()[image].all("COPY")
    return copied.split()[0].removeprefix("--from=")


def in_context(path: str) -> bool:
    """Say whether a path of the checkout reaches a build: the last line of .dockerignore that matches it decides."""
    allowed = True
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and _matches(path, pattern.removeprefix("!")):
            allowed = pattern.startswith("!")
    return allowed


def _matches(path: str, pattern: str) -> bool:
    pure = PurePosixPath(path)
    own = [str(pure), *(str(parent) for parent in pure.parents if str(parent) != ".")]
    if pattern.startswith("**/"):
        return any(fnmatchcase(Path(each).name, pattern.removeprefix("**/")) for each in own)
    return any(each.count("/") == pattern.count("/") and fnmatchcase(each, pattern) for each in own)


def _instructions(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    begun = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begun += line.strip()
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        name, _, arguments = begun.partition(" ")
        found.append((name.upper(), " ".join(arguments.split())))
        begun = ""
    assert not begun, "the last line ends with a backslash"
    return found
