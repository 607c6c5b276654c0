"""A socket's path holds 107 bytes; a folder's path may be longer, wherever temporary files go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from coordinator.home import Home as CoordinatorHome
from node.home import Home as NodeHome


@pytest.mark.parametrize("home", [NodeHome, CoordinatorHome])
def test_a_long_folder_has_a_short_socket_of_its_own(
    home: type[NodeHome | CoordinatorHome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    found = home(deep).socket_file
    assert len(bytes(found)) <= 100
    assert found.parent.stat().st_mode & 0o077 == 0
    assert found == home(deep).socket_file
    assert found != home(deep / "other").socket_file
    assert home(Path("/short")).socket_file.parent == Path("/short")
