"""The public facts of an attempt: thresholds, margins, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from privacy.errors import BadInput
from privacy.secure_sum.attempt import MAX_LENGTH, Attempt, fewest_nodes, threshold
from tests.support.secure_sum_network import sha


def facts(nodes: int = 5, **changes: Any) -> dict[str, Any]:
    return {
        "plan": sha("plan"),
        "round": 0,
        "attempt": 0,
        "state": sha(""),
        "participants": tuple(f"n{i:04}" for i in range(nodes)),
        "sessions": tuple(f"{i:032x}" for i in range(nodes)),
        "roster": sha("roster"),
        "set_index": 0,
        "t_drop": 0,
        "t_collude": 1,
        "length": 4,
    } | changes


@pytest.mark.parametrize(
    ("nodes", "t_drop", "t_collude", "expected", "minimum"),
    [
        (3, 0, 1, 3, 3),
        (4, 1, 1, 3, 3),
        (5, 1, 1, 4, 4),
        (5, 1, 2, 4, 4),
        (10, 4, 1, 6, 6),
        (10, 3, 3, 7, 7),
        (10, 0, 8, 10, 10),
    ],
)
def test_threshold_and_minimum(
    nodes: int, t_drop: int, t_collude: int, expected: int, minimum: int
) -> None:
    attempt = Attempt(**facts(nodes, t_drop=t_drop, t_collude=t_collude))
    attempt.validate()
    assert (attempt.nodes, attempt.margin) == (nodes, t_drop + t_collude)
    assert attempt.threshold == expected
    assert attempt.minimum_survivors == minimum


def test_the_threshold_makes_a_list_unique() -> None:
    """Two sets of T signers share more than t_collude nodes, for every K and t_collude."""
    for nodes in range(3, 80):
        for t_collude in range(1, nodes):
            signers = threshold(nodes, t_collude)
            assert 2 * signers - nodes > t_collude
            assert 2 * (signers - 1) - nodes <= t_collude, "one signer fewer would not do"


@pytest.mark.parametrize("t_drop", range(4))
@pytest.mark.parametrize("t_collude", range(1, 5))
def test_the_fewest_nodes_are_the_fewest_that_are_valid(t_drop: int, t_collude: int) -> None:
    margin = {"t_drop": t_drop, "t_collude": t_collude}
    fewest = fewest_nodes(t_drop, t_collude)
    Attempt(**facts(fewest, **margin)).validate()
    with pytest.raises(BadInput):
        Attempt(**facts(fewest - 1, **margin)).validate()


@pytest.mark.parametrize(
    "changes",
    [
        {"participants": ("a", "b")},
        {"participants": ("a", "c", "b", "d", "e")},
        {"participants": ("a", "a", "b", "c", "d")},
        {"sessions": tuple(f"{0:032x}" for _ in range(5))},
        {"sessions": (f"{0:032x}",)},
        {"set_index": -1},
        {"set_index": 10**6},
        {"length": 0},
        {"length": MAX_LENGTH + 1},
        {"round": -1},
        {"attempt": -1},
        {"t_drop": -1},
        {"t_drop": 2},
        {"t_collude": 0},
        {"t_collude": -1},
        {"t_collude": 4},
    ],
)
def test_unsafe_attempts_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Attempt(**facts(**changes)).validate()


def test_three_nodes_allow_no_loss() -> None:
    Attempt(**facts(3)).validate()
    with pytest.raises(BadInput):
        Attempt(**facts(3, t_drop=1)).validate()


def test_no_margin_is_for_measurements_alone() -> None:
    attempt = Attempt(**facts(t_collude=0))
    attempt.validate(allow_no_margin=True)
    with pytest.raises(BadInput):
        attempt.validate()


def test_json_is_strict_and_round_trips() -> None:
    attempt = Attempt(**facts())
    assert Attempt.from_json(attempt.to_json()) == attempt
    for changes in (
        {"plan": "A" * 64},
        {"plan": "0" * 63},
        {"plan": "0" * 64 + "\n"},
        {"round": "0"},
        {"length": True},
        {"protocol": "cairn-secure-sum/2"},
        {"more": 1},
    ):
        with pytest.raises(BadInput):
            Attempt.from_json(attempt.to_json() | changes)


def test_every_fact_changes_the_digest() -> None:
    plain = Attempt(**facts())
    changed = [
        {"plan": sha("other")},
        {"round": 1},
        {"attempt": 1},
        {"state": sha("other")},
        {"participants": ("a", "b", "c", "d", "e")},
        {"sessions": tuple(f"{i + 1:032x}" for i in range(5))},
        {"roster": sha("other")},
        {"set_index": 1},
        {"t_drop": 1},
        {"t_collude": 2},
        {"length": 5},
    ]
    assert set().union(*changed) == set(facts())
    digests = {Attempt(**facts(**change)).digest for change in changed}
    assert len(digests | {plain.digest}) == len(changed) + 1
