"""The store: one small repository per noun, shared by the web process and the bridge."""

from __future__ import annotations

from typing import Self

from sqlalchemy import Engine

from coordinator.store.accounts import Accounts
from coordinator.store.database import Database, open_engine
from coordinator.store.delegations import Delegations
from coordinator.store.events import PeopleEvents
from coordinator.store.ledgers import Ledgers
from coordinator.store.linkages import Linkages
from coordinator.store.log import Log
from coordinator.store.network import NetworkDocuments
from coordinator.store.nodes import Nodes
from coordinator.store.openings import Openings
from coordinator.store.people import People
from coordinator.store.releases import Releases
from coordinator.store.runs import Runs
from coordinator.store.sessions import Sessions
from coordinator.store.steps import StudySteps
from coordinator.store.studies import Studies


class Store:
    """Everything the coordinator remembers. Safe to use from many threads and two processes."""

    def __init__(self, engine: Engine) -> None:
        self.database = Database(engine)
        self.network = NetworkDocuments(self.database)
        self.nodes = Nodes(self.database)
        self.studies = Studies(self.database)
        self.steps = StudySteps(self.database)
        self.people = People(self.database)
        self.accounts = Accounts(self.database)
        self.sessions = Sessions(self.database)
        self.delegations = Delegations(self.database)
        self.people_events = PeopleEvents(self.database)
        self.runs = Runs(self.database)
        self.openings = Openings(self.database)
        self.releases = Releases(self.database)
        self.ledgers = Ledgers(self.database)
        self.linkages = Linkages(self.database)
        self.log = Log(self.database)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database at `url` (for instance sqlite:////path/file.db), newest schema."""
        store = cls(open_engine(url))
        store.database.upgrade()
        return store

    def close(self) -> None:
        self.database.close()
