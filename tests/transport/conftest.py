"""One network per module, one bridge per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.flower_bridge import FlowerBridge
from tests.support.fleet import Fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("fleet"), ("a", "b", "c"))


@pytest.fixture
def bridge(fleet: Fleet) -> Iterator[FlowerBridge]:
    with fleet.bridge() as running:
        yield running
