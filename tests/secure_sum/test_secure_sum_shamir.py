"""Shamir sharing: exact, threshold-secret, and honest about shares that do not fit."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import BadInput
from privacy.secure_sum import shamir
from tests.support.secure_sum_network import seeded_entropy

SECRET = bytes(range(32))


def is_probable_prime(n: int, rounds: int = 40) -> bool:
    """Miller-Rabin with fixed bases: a composite passes with probability below 4^-40."""
    if n < 4 or n % 2 == 0:
        return n in (2, 3)
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    draw = seeded_entropy("miller-rabin")
    for _ in range(rounds):
        x = pow(2 + int.from_bytes(draw(40), "big") % (n - 3), odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def test_the_field_is_the_smallest_prime_above_2_256() -> None:
    assert is_probable_prime(shamir.PRIME)
    assert not any(is_probable_prime(n) for n in range(2**256 + 1, shamir.PRIME))


@given(
    secret=st.binary(min_size=32, max_size=32),
    holders=st.integers(2, 12),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_threshold_of_holders_opens_the_secret(
    secret: bytes, holders: int, data: st.DataObject
) -> None:
    threshold = data.draw(st.integers(2, holders))
    shares = shamir.split(secret, threshold, holders, seeded_entropy(secret.hex()))
    chosen = data.draw(st.permutations(range(1, holders + 1)))
    for size in (threshold, holders):
        some = {x: shares[x - 1] for x in chosen[:size]}
        assert shamir.combine(some, threshold) == secret


def consistent_secrets(shares: dict[int, int], degree: int, candidates: list[int]) -> list[int]:
    """Candidates that lie on a polynomial of `degree` through `shares`: the attacker's view."""
    fits = []
    for candidate in candidates:
        points = {0: candidate, **shares}
        basis = tuple(sorted(points))[: degree + 1]
        rest = [x for x in points if x not in basis]
        if all(shamir._interpolate(points, basis, x) == points[x] for x in rest):
            fits.append(candidate)
    return fits


@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_fewer_shares_than_the_threshold_fit_every_secret_equally(threshold: int) -> None:
    candidates = [int.from_bytes(SECRET, "big"), 0, 1, 2**255]
    shares = shamir.split(SECRET, threshold, 6, seeded_entropy("s"))
    for holders in combinations(range(1, 7), threshold - 1):
        held = {x: shares[x - 1] for x in holders}
        assert consistent_secrets(held, threshold - 1, candidates) == candidates
    # The mutant: one degree too few singles out the true secret.
    weak = shamir.split(SECRET, threshold - 1, 6, seeded_entropy("s")) if threshold > 2 else []
    if weak:
        held = {x: weak[x - 1] for x in range(1, threshold)}
        assert consistent_secrets(held, threshold - 2, candidates) == candidates[:1]


def test_two_sharings_of_one_secret_have_nothing_in_common() -> None:
    draw = seeded_entropy("fresh")
    first, second = (shamir.split(SECRET, 3, 5, draw) for _ in range(2))
    assert not set(first) & set(second)
    mixed = {1: first[0], 2: second[1], 3: first[2]}
    with pytest.raises(BadInput):
        shamir.combine({**mixed, 4: second[3]}, 3)


@pytest.mark.parametrize("wrong", [1, 2, 3, 4, 5])
def test_more_shares_than_needed_detect_a_wrong_one(wrong: int) -> None:
    shares = dict(enumerate(shamir.split(SECRET, 3, 5, seeded_entropy("x")), start=1))
    shares[wrong] = (shares[wrong] + 1) % shamir.PRIME
    with pytest.raises(BadInput, match="one polynomial"):
        shamir.combine(shares, 3)


def test_nonsense_is_refused() -> None:
    draw = seeded_entropy("n")
    shares = dict(enumerate(shamir.split(SECRET, 3, 5, draw), start=1))
    for bad in (
        {1: shares[1], 2: shares[2]},
        {0: 1, 1: shares[1], 2: shares[2]},
        {1: -1, 2: shares[2], 3: shares[3]},
        {1: shamir.PRIME, 2: shares[2], 3: shares[3]},
    ):
        with pytest.raises(BadInput):
            shamir.combine(bad, 3)
    for secret, threshold, holders in ((b"short", 2, 3), (SECRET, 1, 3), (SECRET, 4, 3)):
        with pytest.raises(BadInput):
            shamir.split(secret, threshold, holders, draw)


def test_a_value_that_is_no_32_byte_secret_is_refused() -> None:
    beyond = 2**256 + 5  # a field element with no 32-byte form
    line = {x: (beyond + 7 * x) % shamir.PRIME for x in (1, 2)}
    with pytest.raises(BadInput, match="32-byte"):
        shamir.combine(line, 2)


def test_shares_have_one_size_and_one_spelling() -> None:
    for value in (0, 1, shamir.PRIME - 1):
        data = shamir.encode(value)
        assert len(data) == shamir.SHARE_BYTES
        assert shamir.decode(data) == value
    for data in (b"", bytes(32), bytes(34), b"\xff" * 33, shamir.PRIME.to_bytes(33, "big")):
        with pytest.raises(BadInput):
            shamir.decode(data)
