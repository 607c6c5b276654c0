"""Leave to ask in your name: made here with your key, used by a browser or another program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from coordinator.client.errors import BadInput
from privacy import errors
from privacy.contract.canonical import b64, unb64
from privacy.contract.delegation import END, KIND, LONGEST, Delegation, DelegationEnd
from privacy.contract.shown import printable
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study import Study
from privacy.contract.time import instant_text


@dataclass(frozen=True)
class Delegated:
    """A signed delegation, with the delegate's secret key where it was made here."""

    envelope: Envelope
    key: SigningKey | None = field(default=None, repr=False)

    @property
    def terms(self) -> Delegation:
        return Delegation.from_json(self.envelope.to_json()["body"])

    @property
    def text(self) -> str:
        """For a file that its owner alone can read: it may hold the delegate's secret."""
        secret = {} if self.key is None else {"secret": b64(self.key.secret_bytes())}
        return json.dumps({"delegation": self.envelope.to_json(), **secret}, indent=2) + "\n"

    def end(self, key: SigningKey, now: datetime) -> dict[str, Any]:
        """What takes it back, signed by the key that gave it. Raises BadInput for another key."""
        if key.public != self.envelope.key:
            raise BadInput("was signed with another key than yours", where="delegation")
        said = DelegationEnd(delegation=self.envelope.digest, at=instant_text(now))
        end = Envelope.seal(END, said.to_json(), key)
        return {"delegation": self.envelope.to_json(), "end": end.to_json()}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text`; raises BadInput, which never quotes it."""
        try:
            said: Any = json.loads(text)
            secret = said.get("secret")
            key = None if secret is None else SigningKey(unb64(secret))
            return cls(Envelope.from_json(said["delegation"]), key)
        except (ValueError, KeyError, TypeError, AttributeError, errors.BadInput):
            raise BadInput("not a delegation", instead="make one with `cairn delegate`") from None


def delegate(
    study: Study,
    key: SigningKey,
    epsilon: str,
    hours: float,
    to: str | None,
    *,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> Delegated:
    """Sign a delegation of `study` for the public key `to`; without one, for a new key.

    Raises BadInput for a cap or a time that cannot be.
    """
    made = SigningKey(entropy(32)) if to is None else None
    public = made.public if made is not None else PublicKey.from_text(to or "")
    said = _terms(study, public, epsilon, hours, now)
    return Delegated(Envelope.seal(KIND, said.to_json(), key), made)


def _terms(
    study: Study, delegate: PublicKey, epsilon: str, hours: float, now: datetime
) -> Delegation:
    if not 0 < hours <= LONGEST / timedelta(hours=1):
        most = int(LONGEST / timedelta(hours=1))
        rule = "a delegation lasts above 0 hours and at most a week"
        raise BadInput(rule, where="hours", instead=f"write 1 to {most}")
    said = Delegation(
        study=study.id,
        study_digest=study.digest,
        delegate=delegate.text,
        epsilon=epsilon,
        made=instant_text(now),
        expires=instant_text(now + timedelta(hours=hours)),
    )
    said.cap(study)
    return said


@dataclass(frozen=True)
class Leave:
    """What your pages ask for, made into the terms that would be signed.

    Guarantee: `words` tells the study, the cap, the end and the key of `terms`, and `signed` signs
    `terms` and nothing else, whatever the coordinator said besides.
    """

    asked: str
    study: Study
    terms: Delegation

    @classmethod
    def of(cls, said: Mapping[str, Any], study: Study, now: datetime) -> Self:
        """Of the coordinator's request about a study that was checked; raises BadInput where it
        speaks of another version, or of terms that cannot be."""
        if (said["study"], said["study_digest"]) != (study.id, study.digest):
            raise BadInput("asked about another version of the study", where="delegation")
        key = PublicKey.from_text(str(said["delegate"]))
        terms = _terms(study, key, str(said["epsilon"]), float(said["hours"]), now)
        return cls(str(said["id"]), study, terms)

    @property
    def code(self) -> str:
        """To compare with what the page shows: of the key that would ask."""
        return PublicKey.from_text(self.terms.delegate).fingerprint[:9]

    @property
    def words(self) -> str:
        title = printable(self.study.title)
        return (
            f"Your pages (key {self.code}) want to ask the study {self.terms.study}, version "
            f"{self.study.version} ({title}), in your name until {self.terms.expires}, for epsilon "
            f"{self.terms.epsilon} at most."
        )

    def signed(self, key: SigningKey) -> Envelope:
        return Envelope.seal(KIND, self.terms.to_json(), key)
