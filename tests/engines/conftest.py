"""Every engine for the contract; the two with servers for what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from node.engines.choice import EngineKind
from tests.support.engines import Engines, engines_of

_MARKS = {
    EngineKind.DUCKDB: [],
    EngineKind.POSTGRESQL: [pytest.mark.processes, pytest.mark.xdist_group("postgresql")],
    EngineKind.SPARK: [pytest.mark.processes, pytest.mark.xdist_group("spark")],
}
_EVERY = [pytest.param(kind, marks=_MARKS[kind], id=kind.value) for kind in EngineKind]


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Engines]]:
    """Starts the server of a kind when it is first asked for; stops them at the end."""
    known: dict[EngineKind, Engines] = {}
    with ExitStack() as stack:

        def start(kind: EngineKind) -> Engines:
            if kind not in known:
                folder = tmp_path_factory.mktemp(kind.value)
                known[kind] = stack.enter_context(engines_of(kind, folder))
            return known[kind]

        yield start


@pytest.fixture(params=_EVERY)
def engines(request: pytest.FixtureRequest, started: Callable[..., Engines]) -> Engines:
    """Each engine in turn."""
    return started(request.param)


@pytest.fixture(params=_EVERY[1:])
def remote_engines(request: pytest.FixtureRequest, started: Callable[..., Engines]) -> Engines:
    """Each engine that holds a copy."""
    return started(request.param)
