"""Tests that share a network of processes are of one group, which one worker runs in order."""

from __future__ import annotations

import pytest

GROUP = "together"


@pytest.mark.xdist_group(GROUP)
def test_the_installed_pytest_keeps_a_group_together(request: pytest.FixtureRequest) -> None:
    """By its name pytest-xdist tells where a test belongs; with pytest 9.2 it does not."""
    wanted = bool(request.config.getoption("loadgroup", default=False))
    assert request.node.nodeid.endswith(f"@{GROUP}") == wanted
