"""What this organisation decided about studies, as steps signed for the studies' records.

Nothing is stored for it: the ledger holds every decision, and signing is deterministic, so the
same step comes out whenever it is asked for.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from node.documents import Documents
from node.ledger_store import LedgerStore
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.ledger.desk_entry import Reviewed
from privacy.ledger.entry import Approval, Entry

_MARKS = (b'"kind":"approval"', b'"kind":"reviewed"')
_ACTS = {
    "approved": Act.APPROVE,
    "refused": Act.REFUSE,
    "asked": Act.ASK,
    "withdrawn": Act.WITHDRAW,
}


@dataclass
class DecisionLog:
    """Reads new lines of the ledger once; remembers where decisions stand."""

    node: str
    key: SigningKey
    ledger: LedgerStore
    documents: Documents
    _read: int = 0
    _places: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def count(self) -> int:
        """How many steps there are."""
        with self._lock:
            size = self.ledger.size
            for seq, line in enumerate(self.ledger.lines(self._read, size), self._read):
                if any(mark in line for mark in _MARKS) and _is_step(line):
                    self._places.append(seq)
            self._read = size
            return len(self._places)

    def since(self, first: int, most: int = 200) -> list[Envelope]:
        """Steps `first`, `first` + 1 and so on, at most so many, signed."""
        last = min(self.count, first + most)
        return [self._step(number) for number in range(max(first, 0), last)]

    def _step(self, number: int) -> Envelope:
        seq = self._places[number]
        (line,) = self.ledger.entries(seq, seq + 1)
        entry = Entry.from_bytes(line)
        study = self.documents.study(_study_of(entry))
        act, note, attached = self._said(entry)
        return StudyStep.of(
            study,
            act,
            Signer.ORGANISATION,
            entry.at,
            by=self.node,
            number=number,
            note=note,
            attached=None if attached is None else attached.to_json(),
        ).sealed(self.key)

    def _said(self, entry: Entry) -> tuple[Act, str, Envelope | None]:
        match entry.body:
            case Reviewed() as body:
                return Act.REVIEW, "", self.documents.sign_off(body.statement)
            case Approval() as body:
                return _ACTS[body.decision], body.reason, None
            case _:
                raise ValueError("not a step")


def _is_step(line: bytes) -> bool:
    return isinstance(Entry.from_bytes(line).body, Approval | Reviewed)


def _study_of(entry: Entry) -> str:
    body = entry.body
    return body.study_digest if isinstance(body, Approval | Reviewed) else ""
