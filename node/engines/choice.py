"""The engine that node.toml names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import assert_never

from node.engines.protocol import Remote
from node.engines.published import PublishedRecords
from node.home import Settings
from node.one_of import one_of
from node.records import Records
from privacy.errors import BadInput


class EngineKind(StrEnum):
    DUCKDB = "duckdb"
    POSTGRESQL = "postgresql"
    SPARK = "spark"


def open_published(settings: Settings, records: Records) -> PublishedRecords | None:
    """The copy of the records that questions are computed on; None for the node's own file.

    Raises BadInput for settings that name no engine.
    """
    remote = open_remote(settings)
    return None if remote is None else PublishedRecords.open(records, remote)


def open_remote(settings: Settings) -> Remote | None:
    """The database beside the node; nothing is asked of it yet."""
    kind = one_of(EngineKind, settings.engine, "engine", "node.toml")
    if kind is not EngineKind.DUCKDB and not (settings.engine_address and settings.engine_place):
        raise BadInput(
            f"the engine {kind.value} needs engine_address and engine_place", where="node.toml"
        )
    match kind:
        case EngineKind.DUCKDB:
            return None
        case EngineKind.POSTGRESQL:
            from node.engines.postgresql import PostgreSQL

            return PostgreSQL(settings.engine_address, settings.engine_place)
        case EngineKind.SPARK:
            from node.engines.spark import Spark

            return Spark(settings.engine_address, Path(settings.engine_place))
        case _:
            assert_never(kind)
