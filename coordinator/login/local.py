"""Accounts that live here: password and second factor, both checked before anything is said.

Whether the login is unknown, the password wrong, the code wrong or used, or the person revoked:
the answer is one, and so is the work, one hash of argon2id and one check of a code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from coordinator.login.limits import RateLimit, address_group
from coordinator.login.passwords import Passwords, check_password
from coordinator.login.resets import RESET_LIFETIME, new_reset_code
from coordinator.login.second_factor import (
    FactorSeal,
    accepted_step,
    check_secret,
    enrolment_uri,
    new_recovery_codes,
    new_secret,
    recovery_hash,
)
from coordinator.store.accounts import Account, Factor, ResetKind
from coordinator.store.facts import Principal
from coordinator.store.store import Store
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,62}[a-z0-9]")
_NOBODY = "p-nobody"


@dataclass(frozen=True)
class Offer:
    """What an invited person enrols with: a fresh secret for the second factor."""

    name: str
    role: str
    secret: str
    uri: str


@dataclass(frozen=True)
class Proof:
    """What somebody who signs in brings. `code` is six digits or a recovery code."""

    login: str
    password: str
    code: str

    def __repr__(self) -> str:
        return "Proof"


@dataclass(frozen=True)
class NewFactor:
    """A second factor to enrol, with a code that shows the program has its secret."""

    secret: str
    code: str

    def __repr__(self) -> str:
        return "NewFactor"


@dataclass(frozen=True)
class TryLimits:
    """How often anybody may try: from an address, and for a login."""

    by_address: RateLimit
    by_login: RateLimit

    def count(self, address: str, login: str) -> None:
        self.by_address.count(address_group(address))
        self.by_login.count(login)


@dataclass
class LocalLogin:
    """Signing in, enrolling and replacing what was lost."""

    store: Store
    passwords: Passwords
    seal: FactorSeal
    tries: TryLimits
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes]

    def sign_in(self, proof: Proof, address: str) -> Principal:
        """The person; raises Refused(NOT_SIGNED_IN or RATE_LIMITED) and says nothing else."""
        login = normal_login(proof.login)
        self.tries.count(address, login)
        account = self._known(login)
        if not self._holds(account, proof) or account.revoked:
            raise Refused(Code.NOT_SIGNED_IN)
        return self.store.people.get(account.principal)

    def offer(self, code: str, login: str) -> Offer:
        """A secret to enrol with, for a good invitation, which is not used up by this."""
        made = self.store.people.invitation(code, self.clock())
        secret = new_secret(self.entropy)
        uri = enrolment_uri(secret, check_login(login), self.store.network.id)
        return Offer(made.name, "" if made.role is None else made.role.value, secret, uri)

    def enrol(
        self, code: str, login: str, password: str, new: NewFactor
    ) -> tuple[Principal, tuple[str, ...]]:
        """Make an account from an invitation; returns the recovery codes, shown once."""
        now = self.clock()
        made = self.store.people.invitation(code, now)
        named = check_login(login)
        check_password(password, [named, made.name, self.store.network.id])
        principal = f"p-{self.entropy(12).hex()}"
        factor, recovery = self._factor(principal, new, now)
        stored = self.passwords.hash(password)
        person = self.store.accounts.enrol(code, principal, named, stored, factor, now)
        return person, recovery

    def allow_reset(self, principal: str, kind: ResetKind, actor: str) -> tuple[str, str]:
        """A code with which a person replaces what they lost, and until when it is good."""
        code = new_reset_code(self.entropy)
        expires = self.store.accounts.allow_reset(
            code, principal, kind, actor, self.clock(), RESET_LIFETIME
        )
        return code, expires

    def replace_password(self, reset: str, proof: Proof, address: str) -> Principal:
        """Set `proof.password` as the new one; the second factor has to be right."""
        known = [normal_login(proof.login), self.store.network.id]
        check_password(proof.password, known)
        account, now = self._claimed(reset, ResetKind.PASSWORD, proof.login, address)
        stored = self.passwords.hash(proof.password)
        if not self._second(account, proof.code, now) or account.revoked:
            raise Refused(Code.NOT_SIGNED_IN)
        self.store.accounts.replace_password(reset, account.principal, stored, now)
        return self.store.people.get(account.principal)

    def replace_factor(
        self, reset: str, login: str, password: str, new: NewFactor, address: str
    ) -> tuple[Principal, tuple[str, ...]]:
        """Set a new second factor; the password has to be right."""
        account, now = self._claimed(reset, ResetKind.FACTOR, login, address)
        if not self.passwords.verify(password, account.password) or account.revoked:
            raise Refused(Code.NOT_SIGNED_IN)
        factor, recovery = self._factor(account.principal, new, now)
        self.store.accounts.replace_factor(reset, account.principal, factor, now)
        return self.store.people.get(account.principal), recovery

    def _claimed(
        self, reset: str, kind: ResetKind, login: str, address: str
    ) -> tuple[Account, datetime]:
        named = normal_login(login)
        self.tries.count(address, named)
        account, now = self._known(named), self.clock()
        if self.store.accounts.reset_of(reset, account.principal, now) is not kind:
            account = self._nobody
        return account, now

    def _known(self, login: str) -> Account:
        """The account, or one that nobody has, to do the same work with."""
        nobody = self._nobody
        return self.store.accounts.by_login(login) or nobody

    @cached_property
    def _nobody(self) -> Account:
        """An account that no proof opens: it is revoked."""
        stored = self.passwords.hash(self.entropy(16).hex())
        sealed = self.seal.seal(new_secret(self.entropy), _NOBODY)
        return Account(_NOBODY, "", stored, sealed, revoked=True)

    def _holds(self, account: Account, proof: Proof) -> bool:
        known = self.passwords.verify(proof.password, account.password)
        return self._second(account, proof.code, self.clock(), use=known) and known

    def _second(self, account: Account, code: str, now: datetime, *, use: bool = True) -> bool:
        """Whether the code is good now; it is used up if the rest was right too."""
        step = accepted_step(self._secret(account), code, now)
        recovery = recovery_hash(account.principal, code)
        spare = self.store.accounts.knows_recovery(recovery)
        if not use or account.revoked:
            return False
        if step is not None:
            return self.store.accounts.accept_step(account.principal, step)
        at = instant_text(now)
        return spare and self.store.accounts.use_recovery(account.principal, recovery, at)

    def _secret(self, account: Account) -> str:
        try:
            return self.seal.open(account.factor, account.principal)
        except VerificationFailed:  # the database came from another coordinator
            return new_secret(self.entropy)

    def _factor(
        self, principal: str, new: NewFactor, now: datetime
    ) -> tuple[Factor, tuple[str, ...]]:
        step = accepted_step(check_secret(new.secret), new.code, now)
        if step is None:
            raise Refused(Code.BAD_REQUEST, where="code")
        codes = new_recovery_codes(self.entropy)
        hashes = tuple(recovery_hash(principal, each) for each in codes)
        return Factor(self.seal.seal(new.secret, principal), hashes, step), codes


def normal_login(text: str) -> str:
    """One form of a login, whatever somebody typed; never raises."""
    return text.strip().lower()[:64]


def check_login(text: str) -> str:
    """A login to enrol; raises BadInput for another form."""
    login = text.strip().lower()
    if not _LOGIN.fullmatch(login):
        raise BadInput(
            "not a login", where="login", instead="3 to 64 letters, digits and . _ @ + -"
        )
    return login
