"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest

from dispatcher.oauth import token


def test_the_examples_hold() -> None:
    results = doctest.testmod(token)
    assert results.attempted > 0
    assert results.failed == 0
