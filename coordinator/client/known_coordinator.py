"""The coordinator's key as a program has met it, followed along changes that the old key signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from coordinator.client.receipts import Logging
from coordinator.client.transport import Transport
from privacy.checkpoint import Checkpoint
from privacy.contract.coordinator_key import check_chain, followed, key_after, parse_changes
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed
from privacy.log import Logged, LogProof

T = TypeVar("T")


@dataclass
class KnownCoordinator:
    """The key that was met first, and every one that followed from it."""

    transport: Transport
    network: str = ""
    _key: PublicKey | None = field(default=None, repr=False)

    @property
    def key(self) -> PublicKey:
        """The key in force when it was last asked for, with those before it."""
        return self._key or self.renewed()

    def renewed(self) -> PublicKey:
        """Ask again. Raises VerificationFailed for a key that the known one did not sign."""
        said = self.transport.get("/v1/network")
        stated, network = PublicKey.from_text(said["coordinator_key"]), str(said["id"])
        changes = parse_changes(said["key_changes"])
        check_chain(changes, network)
        key = key_after(changes, stated)
        if key != stated:
            raise VerificationFailed(
                "the coordinator's key is not the one that its changes lead to"
            )
        if self._key is not None and self._key != key:
            signed = followed(changes, self._key.text)
            if not signed or signed[-1].new != key.text:
                raise VerificationFailed("the coordinator's old key did not sign the new one")
        self._key, self.network = key, network
        return key

    def logged(self, answer: Mapping[str, Any]) -> Logging:
        """Where a release stands in the log; raises VerificationFailed if nothing shows it."""
        if answer["log"] is None:
            raise VerificationFailed("nothing shows it in the log", where=answer["release"])
        proof = LogProof.from_json(answer["log"])

        def held(key: PublicKey) -> Checkpoint:
            return proof.check_of(Logged.RELEASE, answer["release"], key, self.network)

        head = self.check(held)
        return Logging(proof.entry.seq, head.size, head.root.hex(), proof.checkpoint)

    def check(self, by: Callable[[PublicKey], T]) -> T:
        """What `by` gives with the key; where that does not hold, once more after asking."""
        try:
            return by(self.key)
        except VerificationFailed:
            before = self.key
            if self.renewed() == before:
                raise
            return by(self.key)
