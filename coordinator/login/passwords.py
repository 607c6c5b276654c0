"""Passwords: which are good enough, and how they are kept (argon2id).

Length and a guess at how soon a program would find it decide; no rules about kinds of
characters, no expiry. The lists of common passwords are in the installed library: nothing is
asked of anybody else.

Source: NIST SP 800-63B 3.1.1; argon2id as in RFC 9106.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from zxcvbn import zxcvbn

from privacy.errors import Code, Refused

SHORTEST = 12
LONGEST = 128
WEAKEST = 3  # of 0 to 4: "safely unguessable", at least 10^8 guesses
_LOOKED_AT = 72  # characters that are judged; more only makes it stronger
_AT_ONCE = 4  # one hash takes 64 MiB


def normal_password(text: str) -> str:
    """One form for what looks the same, whatever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", text)


def check_password(text: str, known: Sequence[str]) -> None:
    """Raise Refused(WEAK_PASSWORD) with the rule it breaks; `known` are names around the person."""
    password = normal_password(text)
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused(Code.WEAK_PASSWORD, rule="length", shortest=SHORTEST, longest=LONGEST)
    words = [word.lower() for word in known if word]
    bare = password.lower()
    for word in sorted(words, key=len, reverse=True):
        bare = bare.replace(word, "") if len(word) > 2 else bare
    judged = zxcvbn(password[:_LOOKED_AT], user_inputs=words)
    if len(bare) < SHORTEST // 2 or int(judged["score"]) < WEAKEST:
        raise Refused(Code.WEAK_PASSWORD, rule="too easily guessed")


def _argon2() -> PasswordHash:
    return PasswordHash((Argon2Hasher(),))


@dataclass(frozen=True)
class Passwords:
    """Hashes and verifies, a few at a time. Verifying costs the same whatever the password."""

    entropy: Callable[[int], bytes]
    hashing: PasswordHash = field(default_factory=_argon2)
    _busy: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    def hash(self, password: str) -> str:
        with self._busy:
            return self.hashing.hash(normal_password(password), salt=self.entropy(16))

    def verify(self, password: str, stored: str) -> bool:
        """Whether this is the password; a longer text than any password costs no more."""
        tried = normal_password(password[: LONGEST + 1])[: LONGEST + 1]
        with self._busy:
            return self.hashing.verify(tried, stored)
