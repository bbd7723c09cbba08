"""Runs the Dockerfile's RUN lines without Docker, in folders that stand for the image's."""

from __future__ import annotations

from pathlib import Path

from tests.deploy import dockerfile
from tests.deploy.image import Installed, lay_out_context
from tests.install.environments import SYSTEM_PYTHON, run


def build(folder: Path, *, target: str = "dispatcher", python: Path = SYSTEM_PYTHON) -> Installed:
    """Run the RUN lines of the stage that an image's files come from.

    A new environment of the interpreter stands for the base image: the lines call its `pip` and `python`.
    """
    base, context = folder / "base", folder / "src"
    run(python, "-m", "venv", base)
    lay_out_context(context)
    stage = dockerfile.stages()[dockerfile.source_of(target)]
    places = {"/opt/dispatcher": str(folder / "opt"), "/wheels": str(folder / "wheels")}
    for line in stage.all("RUN"):
        for place, substitute in places.items():
            line = line.replace(place, substitute)  # noqa: PLW2901
        run(
            "/bin/sh",
            "-euc",
            line,
            folder=context,
            variables={**stage.variables, "PATH": f"{base / 'bin'}:/usr/bin:/bin"},
        )
    return Installed(programs=folder / "opt" / "bin")
