"""A token gives two halves that are safe to send, and a wrong one opens nothing."""

from __future__ import annotations

import pytest

from coordinator.auth import Gatekeeper, Shown
from coordinator.login.limits import RateLimit
from coordinator.login.sessions import SessionDesk
from coordinator.store.facts import Principal
from privacy.contract.signing import SigningKey
from privacy.contract.token import Role, Token, bearer_sha256
from privacy.errors import BadInput, Code, Refused
from tests.support.fake_executor import Clock, World
from tests.support.seeded import seeded_entropy

EVERYONE = frozenset(Role)


@pytest.mark.parametrize("role", list(Role))
def test_a_token_reads_back_from_its_text(role: Role) -> None:
    token = Token.new(role, seeded_entropy(3))
    again = Token.parse(token.text + "\n")
    assert again == token
    assert again.bearer == token.bearer
    assert again.signing_key.public == token.signing_key.public


def test_the_letters_of_the_roles_are_distinct() -> None:
    assert len({role.letter for role in Role}) == len(Role)


def test_the_derivation_never_changes() -> None:
    """A test vector: tokens handed out today must open the same doors tomorrow."""
    token = Token(Role.RESEARCHER, bytes(range(32)))
    assert token.text == "cairn_r_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert token.bearer == BEARER
    assert token.signing_key.public.text == PUBLIC
    assert token.bearer_sha256 == STORED


BEARER = "X-YduVJ8cOCtujFhg9O15WICmxXAZ9ZDbzFI_aDEn3c"
PUBLIC = "o6d+g5SBv18UsRvaAfaTEMtq3JtrQd6lCQPMw0tzpEc="
STORED = "f5bdbd537a05d5d80735499ba9bdf8de5838a90da95b845c896dccf317f7f0a5"


def test_secret_bearer_and_signing_key_are_unrelated_bytes() -> None:
    token = Token.new(Role.RESEARCHER, seeded_entropy(4))
    halves = {token.secret, token.signing_key.secret_bytes(), SigningKey(token.secret).public.raw}
    assert len(halves) == 3
    assert token.text[8:] != token.bearer


def test_a_token_does_not_print() -> None:
    token = Token.new(Role.ADMIN, seeded_entropy(5))
    shown = f"{token} {token!r} {[token]}"
    for secret in (token.text[8:], token.bearer, repr(token.secret), token.secret.hex()):
        assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cairn_r_",
        "cairn_r_" + "A" * 42,
        "cairn_r_" + "A" * 44,
        "cairn_x_" + "A" * 43,
        "cairn_r_" + "A" * 42 + "B",  # slack bits
        "cairn_r_" + "A" * 42 + "+",
        "CAIRN_r_" + "A" * 43,
        "xcairn_r_" + "A" * 43,
    ],
)
def test_anything_else_is_no_token_and_is_not_quoted(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        Token.parse(text)
    assert len(text) < 9 or text not in str(refused.value)


def test_only_the_right_credential_of_the_right_role_is_admitted(world: World) -> None:
    gate = _gate(world, 1000)
    token = world.tokens[Role.AUDITOR]
    assert _admit(gate, token.bearer, "a", EVERYONE).role is Role.AUDITOR
    wrong = Token.new(Role.AUDITOR, seeded_entropy(99)).bearer
    cases = {
        None: Code.NOT_SIGNED_IN,
        "": Code.NOT_SIGNED_IN,
        wrong: Code.NOT_SIGNED_IN,
        token.text: Code.NOT_SIGNED_IN,
        token.bearer + "A": Code.NOT_SIGNED_IN,
    }
    for bearer, code in cases.items():
        with pytest.raises(Refused) as refused:
            _admit(gate, bearer, "a", EVERYONE)
        assert refused.value.code is code
    with pytest.raises(Refused) as refused:
        _admit(gate, token.bearer, "a", frozenset({Role.ADMIN}))
    assert refused.value.code is Code.NOT_PERMITTED


def test_revoked_and_unknown_credentials_look_the_same(world: World) -> None:
    gate = _gate(world, 1000)
    token = world.tokens[Role.ADMIN]
    known = _admit(gate, token.bearer, "a", EVERYONE)
    world.store.people.revoke(known.id, "2026-03-01T12:00:00Z")
    answers = []
    for bearer in (token.bearer, Token.new(Role.ADMIN, seeded_entropy(98)).bearer):
        with pytest.raises(Refused) as refused:
            _admit(gate, bearer, "a", EVERYONE)
        answers.append((refused.value.code, dict(refused.value.public_fields)))
    assert answers[0] == answers[1]


def test_guessing_is_slowed_down_without_shutting_others_out(world: World) -> None:
    clock = Clock()
    gate = _gate(world, 5, clock)
    codes = [_guess(gate, "192.0.2.1") for _ in range(8)]
    assert codes == [Code.NOT_SIGNED_IN] * 5 + [Code.RATE_LIMITED] * 3
    assert _guess(gate, "192.0.2.2") is Code.NOT_SIGNED_IN
    good = world.tokens[Role.ADMIN].bearer
    assert _admit(gate, good, "192.0.2.1", EVERYONE).role is Role.ADMIN
    clock.forward(61)
    assert _guess(gate, "192.0.2.1") is Code.NOT_SIGNED_IN


def test_one_ipv6_customer_is_one_address(world: World) -> None:
    gate = _gate(world, 2)
    codes = [_guess(gate, f"2001:db8::{last:x}") for last in range(4)]
    assert codes[2:] == [Code.RATE_LIMITED] * 2
    assert _guess(gate, "2001:db8:0:1::1") is Code.NOT_SIGNED_IN


def test_the_memory_of_failures_is_bounded() -> None:
    limit = RateLimit(5, Clock(), keys=100)
    for number in range(1000):
        limit.count(f"host-{number}")
    for _ in range(100):
        with pytest.raises(Refused):
            [limit.count("host-999") for _ in range(10)]
    assert len(limit._due) == 100


def test_a_limit_says_when_to_come_back_and_means_it() -> None:
    clock = Clock()
    limit = RateLimit(3, clock)
    for _ in range(3):
        limit.count("a")
    limit.count("b")
    with pytest.raises(Refused) as refused:
        limit.check("a")
    assert refused.value.public_fields == {"retry_after_seconds": 20}
    clock.forward(19)
    with pytest.raises(Refused):
        limit.count("a")
    clock.forward(1)
    limit.count("a")
    clock.forward(10_000)
    for _ in range(3):
        limit.count("a")
    with pytest.raises(Refused):
        limit.count("a")


def test_a_bearer_is_hashed_with_its_purpose() -> None:
    token = Token.new(Role.STEWARD, seeded_entropy(6))
    assert token.bearer_sha256 == bearer_sha256(token.bearer)
    for text in ("", "A" * 42, "A" * 44, "é" * 43, "A" * 42 + "B"):
        with pytest.raises(BadInput):
            bearer_sha256(text)


def _guess(gate: Gatekeeper, address: str) -> Code:
    with pytest.raises(Refused) as refused:
        _admit(gate, "A" * 43, address, EVERYONE)
    return refused.value.code


def _gate(world: World, most: int, clock: Clock | None = None) -> Gatekeeper:
    now = clock or Clock()
    sessions = SessionDesk(world.store.sessions, now, seeded_entropy(7))
    plenty = RateLimit(1_000_000, now)
    return Gatekeeper(world.store.people, sessions, RateLimit(most, now), plenty)


def _admit(gate: Gatekeeper, bearer: str | None, address: str, roles: frozenset[Role]) -> Principal:
    return gate.admit(Shown(bearer), address, roles).principal
