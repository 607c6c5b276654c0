"""Who is asking: bearer credentials, and a limit on wrong ones from one address.

Nothing in an answer tells an unknown credential from a revoked one.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator.store.facts import Principal
from coordinator.store.people import People
from privacy.contract.token import Role, bearer_sha256
from privacy.errors import BadInput, Code, Refused

MAX_ADDRESSES = 10_000
_WINDOW = timedelta(minutes=1)


@dataclass
class FailureLimit:
    """At most `most` failures per address and minute; forgets the oldest address when full."""

    most: int
    clock: Callable[[], datetime]
    addresses: int = MAX_ADDRESSES
    _seen: OrderedDict[str, deque[datetime]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, address: str) -> None:
        """Count one failure; raises Refused(RATE_LIMITED) once there were too many."""
        now = self.clock()
        with self._lock:
            times = self._seen.setdefault(_group(address), deque(maxlen=self.most + 1))
            self._seen.move_to_end(_group(address))
            times.append(now)
            recent = sum(1 for at in times if now - at < _WINDOW)
            while len(self._seen) > self.addresses:
                self._seen.popitem(last=False)
        if recent > self.most:
            raise Refused(Code.RATE_LIMITED, retry_after_seconds=int(_WINDOW.total_seconds()))


def _group(address: str) -> str:
    """One IPv4 address, or the /64 that one IPv6 customer holds."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address


@dataclass(frozen=True)
class Gatekeeper:
    """Turns a bearer credential into the person it belongs to."""

    people: People
    failures: FailureLimit

    def admit(self, bearer: str | None, address: str, roles: frozenset[Role]) -> Principal:
        """The caller, if signed in with one of `roles`.

        Raises Refused: NOT_SIGNED_IN (no or no valid credential), RATE_LIMITED (too many
        invalid ones from this address), NOT_PERMITTED (another role). A valid credential is
        let in however often others failed from the same address.
        """
        if bearer is None:
            raise Refused(Code.NOT_SIGNED_IN)
        principal = self._known(bearer)
        if principal is None:
            self.failures.fail(address)
            raise Refused(Code.NOT_SIGNED_IN)
        if principal.role not in roles:
            raise Refused(Code.NOT_PERMITTED)
        return principal

    def _known(self, bearer: str) -> Principal | None:
        try:
            return self.people.by_bearer(bearer_sha256(bearer))
        except BadInput:
            return None
