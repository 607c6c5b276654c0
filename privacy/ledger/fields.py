"""The fields that ledger entries are made of: each a text or number of one spelling."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from privacy.contract.canonical import parse_rational
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code
from privacy.units import Rho

MOST_NAME, MOST_WORDS = 128, 4_096


@lru_cache(maxsize=1024)
def _instant(text: str) -> str:
    if instant_text(datetime.fromisoformat(text)) != text:
        raise ValueError("not an instant")
    return text


@lru_cache(maxsize=4096)
def parse_rho(text: str) -> Rho:
    """`Rho.parse`, remembered: a ledger repeats the same few amounts."""
    return Rho.parse(text)


def _rho(text: str) -> str:
    parse_rho(text)
    return text


def _fraction(text: str) -> str:
    if not 0 < parse_rational(text) < 1:
        raise BadInput("not a rational between 0 and 1")
    return text


def _name(text: str) -> str:
    if not 1 <= len(text) <= MOST_NAME:
        raise BadInput(f"a name has 1 to {MOST_NAME} characters", instead="write a shorter one")
    return text


def _words(text: str) -> str:
    if len(text) > MOST_WORDS:
        raise BadInput(f"more than {MOST_WORDS:,} characters", instead="write it shorter")
    return text


def _code(text: str) -> str:
    return Code(text).value  # ValueError for what the catalogue does not hold


Digest = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
SignatureText = Annotated[str, StringConstraints(min_length=88, max_length=88)]  # base64
LinkageDigest = Annotated[str, StringConstraints(pattern=r"\A([0-9a-f]{64})?\z")]
# What people write is BadInput where it is too long, wherever an entry is made of it.
Name = Annotated[str, AfterValidator(_name)]
Words = Annotated[str, AfterValidator(_words)]
Instant = Annotated[str, AfterValidator(_instant)]
RhoText = Annotated[str, StringConstraints(max_length=128), AfterValidator(_rho)]
DeltaText = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_fraction)]
CodeText = Annotated[str, AfterValidator(_code)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Index = Annotated[int, Field(ge=0, lt=2**31)]
Epoch = Annotated[str, StringConstraints(pattern=r"\A[0-9]{4}-(0[1-9]|1[0-2])\z")]
