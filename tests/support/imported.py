"""A made-up world twice: imported into a database, and as rows in memory."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from models.rows import Rows, from_tables
from node.importer import import_folder
from node.records import Records
from tests.support.data_factory import World, make_world, write_folder


def imported_world(seed: int, members: int) -> tuple[World, Records, Rows]:
    """The same members in the engine and in the reference."""
    world = make_world(random.Random(seed), members=members)
    records = Records.open(":memory:")
    with tempfile.TemporaryDirectory() as folder:
        import_folder(records, world.dictionary, write_folder(world, Path(folder)))
    tables = {}
    for table in world.dictionary.tables:
        lines = [
            {"who": key, **row}
            for key, person in world.people.items()
            for row in person[table.name]
        ]
        names = ["who", "tick", *(column.name for column in table.columns)]
        tables[table.name] = {name: [line.get(name) for line in lines] for name in names}
    return world, records, from_tables(world.dictionary, tables, world.people)
