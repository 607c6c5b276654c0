"""Fixtures that make networks in one process, for every folder whose tests need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.network import Network, Shape, make_network

Make = Callable[..., Network]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes networks and closes them."""
    made: list[Network] = []

    def network(**shape: Any) -> Network:
        folder = tmp_path / f"network-{len(made)}"
        folder.mkdir()
        made.append(make_network(folder, Shape(**shape)))
        return made[-1]

    yield network
    for each in made:
        each.close()


@pytest.fixture
def network(make: Make) -> Network:
    """Three organisations, sixty members each."""
    return make()
