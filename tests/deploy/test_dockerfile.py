"""The images: what is in them, what they start, and that they run as nobody in particular."""

from __future__ import annotations

import tomllib

import pytest

from dispatcher.settings import known_names
from tests.deploy import composed, dockerfile
from tests.deploy.composed import PROJECT

IMAGES = ("dispatcher", "sandbox")


def test_the_last_stage_is_the_one_that_a_plain_build_makes() -> None:
    assert list(dockerfile.stages())[-1] == "dispatcher"


@pytest.mark.parametrize("image", IMAGES)
def test_the_entry_point_is_a_program_of_the_package(image: str) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert dockerfile.stages()[image].entry == ["dispatcher"]
    assert "dispatcher" in project["scripts"]


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_as_a_user_who_is_not_root_by_number(image: str) -> None:
    user, _, group = dockerfile.stages()[image].last("USER").partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000


@pytest.mark.parametrize("image", IMAGES)
def test_it_stops_at_sigterm(image: str) -> None:
    assert dockerfile.stages()[image].last("STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize("image", IMAGES)
def test_it_holds_what_was_built_and_neither_sources_nor_tools(image: str) -> None:
    stage = dockerfile.stages()[image]
    assert [each.split()[0].startswith("--from=build") for each in stage.all("COPY")] == [True]
    for command in stage.all("RUN"):
        assert not {"apt-get", "apk", "pip", "gcc"} & set(command.split()), command


@pytest.mark.parametrize("image", IMAGES)
def test_build_and_run_have_the_same_python(image: str) -> None:
    stages = dockerfile.stages()
    assert stages["build"].base == stages["runtime"].base == "python:${PYTHON_VERSION}-slim"
    assert stages[image].base == "runtime"


def test_python_is_a_version_that_the_package_is_made_for() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    version = text.split("ARG PYTHON_VERSION=")[1].split()[0]
    classifiers = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {version}" in classifiers


def test_every_source_is_in_the_tree_and_in_the_context() -> None:
    copied = [source for sources, _ in dockerfile.stages()["build"].copied for source in sources]
    assert copied
    for source in copied:
        assert (PROJECT / source).exists(), source
        assert dockerfile.in_context(source), source


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "secrets/client_secret", "tests/conftest.py", "dispatcher/__pycache__/x.pyc"]
)
def test_no_secret_and_no_litter_is_in_the_context(path: str) -> None:
    assert not dockerfile.in_context(path)


def test_all_of_the_package_is_in_the_context() -> None:
    for folder in ("dispatcher", "migrations"):
        for path in (PROJECT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert dockerfile.in_context(path.relative_to(PROJECT).as_posix()), path


def test_home_is_a_folder_of_the_user_and_where_the_volume_is() -> None:
    stage = dockerfile.stages()["dispatcher"]
    variables = dict(pair.split("=", 1) for line in stage.all("ENV") for pair in line.split())
    home = variables["DISPATCHER_HOME"]
    assert any(command.endswith(home) and "--owner=dispatcher" in command for command in stage.all("RUN"))
    assert home in composed.services()["worker"].mounts


@pytest.mark.parametrize("image", ["build", *IMAGES])
def test_every_setting_in_an_image_is_one(image: str) -> None:
    names = [pair.split("=")[0] for line in dockerfile.stages()[image].all("ENV") for pair in line.split()]
    assert [name for name in names if name.startswith("DISPATCHER_") and name not in known_names()] == []
