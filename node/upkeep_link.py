"""Keeping a running node, through the socket in its folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

from privacy.ledger.steward_entry import StewardBody


class UpkeepHand(Protocol):
    """What a command asks of a node to keep it. `by` is the name that goes into the ledger."""

    @property
    def by(self) -> str: ...

    def backup(self, file: Path, passphrase: str) -> dict[str, Any]: ...
    def backups(self) -> list[dict[str, str]]: ...
    def doctor(self) -> list[dict[str, str | bool]]: ...
    def leave(self, reason: str = "") -> dict[str, Any]: ...
    def stewards(self) -> list[dict[str, str]]: ...
    def change_stewards(self, body: StewardBody) -> None: ...


class RunningUpkeep(ABC):
    """The same of a running node. `by` is the name that goes into the ledger."""

    by: str = "steward"

    @abstractmethod
    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one request; raises what the node refuses with."""

    def backup(self, file: Path, passphrase: str) -> dict[str, Any]:
        form = {"file": str(file.resolve()), "passphrase": passphrase, "by": self.by}
        return dict(self._ask("POST", "/v1/backup", form))

    def backups(self) -> list[dict[str, str]]:
        return list(self._ask("GET", "/v1/backups"))

    def doctor(self) -> list[dict[str, str | bool]]:
        return list(self._ask("GET", "/v1/doctor"))

    def leave(self, reason: str = "") -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/leave", {"reason": reason, "by": self.by}))

    def stewards(self) -> list[dict[str, str]]:
        return list(self._ask("GET", "/v1/stewards"))

    def change_stewards(self, body: StewardBody) -> None:
        self._ask("POST", "/v1/stewards", body.to_json())
