"""The three engines for tests: real servers, started once in a test run and shared."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.engines.choice import EngineKind, open_remote
from node.engines.protocol import Engine, Remote
from node.engines.published import PublishedRecords
from node.home import Settings
from node.records import Records
from tests.support.postgres_server import postgres_server

MASTER = "local[2]"
_SPARK_DEFAULTS = """
spark.sql.shuffle.partitions 1
spark.sql.adaptive.enabled false
spark.default.parallelism 1
spark.driver.memory 512m
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.warehouse.dir /nonexistent
"""


@dataclass
class Engines:
    """Makes engines of one kind; `address` is where its server is."""

    kind: EngineKind
    address: str
    folder: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def place(self) -> str:
        """A schema or folder that nobody used yet."""
        number = next(self._numbers)
        if self.kind is EngineKind.POSTGRESQL:
            return f'Records of "{number}"'
        return str(self.folder / f"copy's {number}")

    def settings(self, place: str | None = None) -> dict[str, str]:
        """What node.toml says."""
        chosen = {"engine": self.kind.value}
        if self.kind is not EngineKind.DUCKDB:
            where = place if place is not None else self.place()
            chosen |= {"engine_address": self.address, "engine_place": where}
        return chosen

    def remote(self, place: str | None = None) -> Remote:
        found = open_remote(settings_with(self.settings(place)))
        assert found is not None
        return found

    def holding(self, records: Records, place: str | None = None) -> Engine:
        """An engine that computes on these records."""
        if self.kind is EngineKind.DUCKDB:
            return records
        return PublishedRecords.open(records, self.remote(place))


def settings_with(chosen: dict[str, str]) -> Settings:
    return Settings("n", "N", "net", "http://127.0.0.1:1", "", "127.0.0.1:2", **chosen)


@contextmanager
def engines_of(kind: EngineKind, folder: Path) -> Iterator[Engines]:
    """Start what the kind needs. What is missing on this machine is an error, never a skip."""
    with ExitStack() as stack:
        match kind:
            case EngineKind.DUCKDB:
                yield Engines(kind, "", folder)
            case EngineKind.POSTGRESQL:
                server = stack.enter_context(postgres_server())
                yield Engines(kind, server.socket_address, folder)
            case EngineKind.SPARK:
                _check_java()
                stack.enter_context(_small_spark(folder))
                yield Engines(kind, MASTER, folder)


@contextmanager
def _small_spark(folder: Path) -> Iterator[None]:
    """Settings for tables of a few rows, in the file where an operator of Spark puts his."""
    with pytest.MonkeyPatch.context() as patch:
        (folder / "spark-defaults.conf").write_text(_SPARK_DEFAULTS)
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_LOCAL_DIRS", str(folder))
        yield


def _check_java() -> None:
    java = shutil.which("java")
    if java is None:
        raise RuntimeError("Java is missing: apt-get install openjdk-17-jre-headless")
    subprocess.run([java, "-version"], check=True, capture_output=True)
