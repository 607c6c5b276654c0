"""A verification that cannot even begin is over, and another may be tried."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from coordinator.api.shelf import BundleShelf
from coordinator.api.verifying import Stage, VerificationDesk
from tests.support.fake_executor import World
from tests.support.seeded import seeded_entropy


class FullDisk(BundleShelf):
    def new_folder(self) -> Path:
        raise OSError("no space left on device")


def test_a_full_disk_leaves_no_verification_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    desk = VerificationDesk(FullDisk(world.clock, seeded_entropy("shelf")))
    source: Any = world.executor
    source.clock = world.clock
    for number in (1, 2):
        assert desk.start(source, "ada").number == number
        for thread in threading.enumerate():
            if thread.name == "verifying":
                thread.join(60)
        newest = desk.newest
        assert newest is not None
        assert newest.stage is Stage.BROKEN
        assert newest.finished
