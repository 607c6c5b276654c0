"""What to say of a training run before anything is spent, from public facts alone."""

from __future__ import annotations

ENOUGH_MEMBERS = 5_000
ENOUGH = 15_000.0  # members times epsilon


def advice(members: int, epsilon: float, weights: int) -> str | None:
    """A warning where a network is not worth its budget, or None. `members` is declared or noised.

    Measured: below about 5,000 members and at ε of at most 3, a network predicts no better than
    a regression with the same allowance.
    """
    if members >= ENOUGH_MEMBERS and members * epsilon >= ENOUGH:
        return None
    small = "" if weights <= 2_000 else f" A network of {weights:,} weights is large for that."
    return (
        f"With about {members:,} members at ε = {epsilon:g} a neural network predicts no better "
        "than a regression with interactions, and the regression says what matters. It is worth "
        f"trying from about {ENOUGH_MEMBERS:,} members at ε = 3.{small} Nothing has been spent."
    )
