"""How often somebody may do something: one instant is remembered for each address or account.

Source: the generic cell rate algorithm (ITU-T I.371), in its form with a theoretical arrival time.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from privacy.errors import Code, Refused

MAX_KEYS = 10_000
MINUTE = timedelta(minutes=1)


@dataclass
class RateLimit:
    """At most `most` at once and `most` per `window` in the long run, for each key.

    The oldest key is forgotten when there are too many.
    """

    most: int
    clock: Callable[[], datetime]
    window: timedelta = MINUTE
    keys: int = MAX_KEYS
    _due: OrderedDict[str, datetime] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, key: str) -> None:
        """Count one; raises Refused(RATE_LIMITED), counting nothing, when there were too many."""
        now = self.clock()
        with self._lock:
            self._due[key] = self._next(key, now)
            self._due.move_to_end(key)
            while len(self._due) > self.keys:
                self._due.popitem(last=False)

    def check(self, key: str) -> None:
        """Raise as `count` would, and count nothing."""
        with self._lock:
            self._next(key, self.clock())

    def _next(self, key: str, now: datetime) -> datetime:
        due = max(self._due.get(key, now), now) + self.window / self.most
        late = (due - self.window - now).total_seconds()
        if late > 0:
            raise Refused(Code.RATE_LIMITED, retry_after_seconds=max(1, math.ceil(late)))
        return due


def address_group(address: str) -> str:
    """One IPv4 address, or the /64 that one IPv6 customer holds."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address
