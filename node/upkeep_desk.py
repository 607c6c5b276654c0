"""Keeping a node: backups of a running one, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.backup import write_backup
from node.checklist import checklist
from node.study_desk import StudyDesk
from privacy.contract.signing import PublicKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.ledger.steward_entry import StewardBody
from privacy.ledger.upkeep_entry import BackedUp, Leaving
from privacy.sealed_file import check_passphrase


@dataclass(frozen=True)
class UpkeepDesk(StudyDesk):
    """Operations on one node, running or not. `by` is the name that goes into the ledger."""

    def backup(self, file: Path, passphrase: str) -> dict[str, Any]:
        """Write everything that a new machine needs into one new file, under a passphrase.

        The ledger names every backup that was begun: whoever is erased later is still in it.
        """
        check_passphrase(passphrase)
        if file.exists() or not file.parent.is_dir():
            raise BadInput("is there already, or has no folder", where=str(file))
        service = self.parts.service
        name = service.entropy(32).hex()
        service.ledger.append(BackedUp(backup=name, by=self.by))
        made = write_backup(
            self.parts.home,
            file,
            passphrase,
            backup=name,
            records=self.parts.records,
            entropy=service.entropy,
            now=service.clock(),
        )
        return {"file": str(file), "backup": name, "made_at": made.made_at}

    def doctor(self) -> list[dict[str, str | bool]]:
        """What is left to do, each with its command; see `node.checklist`."""
        return [step.to_json() for step in checklist(self.parts)]

    # leaving

    def leave(self, reason: str = "") -> dict[str, Any]:
        """Leave the network for good: what runs ends in order, then the ledger is closed."""
        service = self.parts.service
        service.ledger.append(Leaving(by=self.by, reason=reason))
        service.runner.end_leaving()
        state = service.ledger.state
        return {"state": state.leaving, "runs under way": len(state.plans)}

    # people

    def stewards(self) -> list[dict[str, str]]:
        """Who may sign here, since when, and who is invited until when."""
        state = self.parts.service.ledger.state
        joined = [
            {
                "name": each.name,
                "key": key,
                "fingerprint": PublicKey.from_text(key).fingerprint,
                "since": each.since,
            }
            for key, each in state.stewards.items()
        ]
        now = instant_text(self.parts.service.clock())
        invited = [
            {"name": each.name, "key": "", "fingerprint": "", "invited until": each.expires}
            for each in state.invited.values()
            if each.expires > now
        ]
        return joined + invited

    def change_stewards(self, body: StewardBody) -> None:
        """Enter an invitation, a new steward, a new key or the end of one; raises Refused."""
        self.parts.service.ledger.append(body)

    # backups

    def backups(self) -> list[dict[str, str]]:
        """Every backup that was begun, oldest first, with the name that the file bears."""
        return [
            {"backup": entry.body.backup, "at": entry.at}
            for entry in self.parts.service.ledger.index.backups()
            if isinstance(entry.body, BackedUp)
        ]
