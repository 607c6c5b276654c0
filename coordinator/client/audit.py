"""What an auditor reads on line: organisations at a glance, ledgers, and their verification.

All of it is what the coordinator says of its copies. An entry's proof is checked here; to trust
nobody, pull a bundle and verify it (`coordinator.client.auditing`, `cairn audit`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.audit.supposition import supposition
from coordinator.client.transport import Transport, is_path_part
from privacy.checkpoint import open_checkpoint
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.merkle import leaf_hash, verify_inclusion

_OVER = ("held", "failed", "broken")
_PAUSE_SECONDS = 1.0
_FILE_SECONDS = 120.0


@dataclass(frozen=True)
class LedgerEntry:
    """One entry of a ledger: in words, as value and as `text`, whose bytes are what is hashed.

    `proof` leads to the newest checkpoint that the node signed; None while none covers it.
    """

    node: str
    name: str
    seq: int
    at: str
    kind: str
    kind_words: str
    words: str
    study: str
    researcher: str
    text: str
    value: Any
    leaf: str
    proof: Mapping[str, Any] | None
    witnesses: list[dict[str, Any]]
    newest: int

    def check(self, key: PublicKey | None = None) -> int:
        """Check the proof; returns how many entries the checkpoint covers, 0 for no proof.

        `key` is the node's, known from elsewhere; without it the one that came with the proof
        is taken. Raises VerificationFailed where the entry is not what the node signed.
        """
        said = self.proof
        if said is None:
            return 0
        try:
            head = open_checkpoint(said["checkpoint"], key or PublicKey.from_text(said["key"]))
            hashes = [bytes.fromhex(each) for each in said["hashes"]]
        except (BadInput, ValueError):
            raise VerificationFailed("not a proof") from None
        leaf = leaf_hash(self.text.encode("utf-8", "replace"))
        verify_inclusion(leaf, self.seq, head.size, hashes, head.root)
        return head.size

    def proof_json(self) -> dict[str, Any]:
        """The proof with all that is needed to check it elsewhere."""
        return {
            "node": self.node,
            "seq": self.seq,
            "leaf": self.leaf,
            "proof": None if self.proof is None else dict(self.proof),
        }


class Audit:
    """An auditor's questions to one coordinator."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def overview(self) -> dict[str, Any]:
        """Every organisation: spent of its limit, witnesses, what is stopped, refusals."""
        return self._get("overview")

    def entries(
        self,
        node: str,
        *,
        kind: str = "",
        study: str = "",
        researcher: str = "",
        since: str = "",
        until: str = "",
        page: int = 1,
    ) -> dict[str, Any]:
        """A page of a ledger's entries in words, the newest first, with what can be sought."""
        sought = {"kind": kind, "study": study, "researcher": researcher}
        return self._get(
            f"ledgers/{path_part(node)}/entries", **sought, since=since, until=until, page=page
        )

    def entry(self, node: str, seq: int) -> LedgerEntry:
        """One entry with its proof."""
        return LedgerEntry(**self._get(f"ledgers/{path_part(node)}/entries/{int(seq)}"))

    def start_verification(self) -> dict[str, Any]:
        """Have the coordinator verify its copies; returns how far it is, at once."""
        said: dict[str, Any] = self.transport.post("/v1/audit/verifications", {})
        return said

    def verification(self) -> dict[str, Any]:
        """The newest verification, under way or over, and when the newest that held was made."""
        return self._get("verifications")

    def verify(self, pause: Callable[[float], None] = time.sleep) -> dict[str, Any]:
        """Have the coordinator verify its copies and wait for what it finds; its report.

        Raises VerificationFailed naming the first bad entry. It is the coordinator's own word:
        `cairn audit verify` on a bundle of yours is not.
        """
        said = self.start_verification()["newest"]
        while said["stage"] not in _OVER:
            pause(_PAUSE_SECONDS)
            said = self.verification()["newest"]
        if said["stage"] == "held":
            return dict(said["report"])
        failed = said["failed"] or {"what": "the verification could not be ended", "where": ""}
        raise VerificationFailed(failed["what"], where=failed["where"])

    def policies(self, node: str) -> dict[str, Any]:
        """Every policy of an organisation, what each changed, who, when and why; the promise."""
        return self._get(f"ledgers/{path_part(node)}/policies")

    def withdrawals(self, page: int | None = None) -> dict[str, Any]:
        """What was taken back, and whether it held; of the newest copy that was verified. All of
        it, or a page, of which the first has the newest."""
        return self._get("withdrawals", **({} if page is None else {"page": page}))

    def replay(
        self,
        limits: Mapping[str, str] | None = None,
        *,
        preset: str = "",
        margin: str = "",
        memberships: int | None = None,
        noise: str = "",
        nodes: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What other limits, rules or noise would have refused; of the newest verified copy.

        `limits` are epsilon as text (or "none") by period, study, researcher, question. Raises
        BadInput for what cannot be supposed.
        """
        asked = {
            "limits": dict(limits or {}),
            "preset": preset,
            "margin": margin,
            "memberships": memberships,
            "noise": noise,
            "nodes": list(nodes),
        }
        supposition(
            [f"{name}={text}" for name, text in (limits or {}).items()],
            preset_name=preset,
            margin=margin,
            memberships=memberships,
            noise=noise,
            nodes=nodes,
        )
        said: dict[str, Any] = self.transport.post("/v1/audit/replays", asked)
        return said

    def dossiers(self) -> dict[str, Any]:
        """The dossiers that there are, of the newest copy that was verified."""
        return self._get("dossiers")

    def dossier(self, name: str, rows: int | None = None) -> dict[str, Any]:
        """One dossier, section by section; `name` as `dossiers` says, for instance study-als.

        With `rows`, of every table the last so many lines; `left_out` says how many are not there.
        """
        query = {} if rows is None else {"rows": rows}
        return self._get(f"dossiers/{path_part(name)}", **query)

    def dossier_file(self, name: str, form: str = "html") -> bytes:
        """The dossier as `html`, as `pdf`, or a study's as `json` for the registry."""
        path = f"/v1/audit/dossiers/{path_part(name)}/file?form={path_part(form)}"
        with self.transport.download(path, _FILE_SECONDS) as fetched:
            return b"".join(fetched.pieces)

    def _get(self, path: str, **query: str | float) -> dict[str, Any]:
        said: dict[str, Any] = self.transport.get(f"/v1/audit/{path}", wait_seconds=0.0, **query)
        return said


def path_part(name: str) -> str:
    """A name as part of an address; raises BadInput for what is none."""
    if not is_path_part(name):
        raise BadInput(f"no name {name[:64]!r}")
    return name
