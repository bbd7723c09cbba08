"""Processes for tests that need many: forks of one server that has already imported the package."""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
# One server serves the whole test process, so it preloads for every user of this module.
FORKS.set_forkserver_preload(["tests.limits.fleet", "tests.oauth.fleet"])
