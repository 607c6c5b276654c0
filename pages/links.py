"""Links that open a browser's session once, within minutes. Only hashes are kept, in memory."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from privacy.contract.canonical import sha256_hex
from privacy.randomness import Entropy

SECRET_BYTES = 32
VALID = timedelta(minutes=10)
MOST = 1_000


def new_secret(entropy: Entropy) -> str:
    """256 random bits as text for an address."""
    return base64.urlsafe_b64encode(entropy(SECRET_BYTES)).rstrip(b"=").decode("ascii")


def secret_hash(secret: str) -> str:
    """What is kept of a secret."""
    return sha256_hex(b"cairn link\n" + secret.encode("utf-8", "surrogatepass"))


@dataclass
class OneTimeLinks:
    """Who each open link is for. A restart closes them all."""

    entropy: Entropy
    clock: Callable[[], datetime]
    _open: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, who: str) -> str:
        """The secret of a new link for `who`."""
        secret, now = new_secret(self.entropy), self.clock()
        with self._lock:
            self._open = {h: each for h, each in self._open.items() if each[1] > now}
            while len(self._open) >= MOST:
                del self._open[next(iter(self._open))]
            self._open[secret_hash(secret)] = (who, now + VALID)
        return secret

    def take(self, secret: str) -> str | None:
        """Whose an open link is, which is closed then; None for none, one used, one over."""
        with self._lock:
            found = self._open.pop(secret_hash(secret), None)
        return found[0] if found is not None and found[1] > self.clock() else None
