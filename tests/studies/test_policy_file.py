"""policy.toml: presets, what differs, and what a slip says; and a policy in words."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from node.policy_file import read_policy
from privacy.contract.duo import Modifier, Permission
from privacy.contract.policy import Automatic, Policy, Preset
from privacy.contract.presets import preset
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput
from privacy.ledger.entry import PolicySet
from privacy.ledger.policy_words import policy_changes, policy_words

DELTA = "1/1000000"
KEY = SigningKey(b"k" * 32).public.text


def read(text: str) -> Policy:
    return read_policy(text, "policy.toml", DELTA)


@pytest.mark.parametrize("which", list(Preset))
def test_a_preset_alone_is_that_preset(which: Preset) -> None:
    assert read(f'preset = "{which.value}"') == preset(which, DELTA)


def test_presets_are_ordered_from_careful_to_open() -> None:
    careful, balanced, open_ = (
        preset(each, DELTA) for each in (Preset.CAREFUL, Preset.BALANCED, Preset.OPEN)
    )
    for less, more in ((careful, balanced), (balanced, open_)):
        assert less.yearly_rho < more.yearly_rho
        assert less.min_cohort > more.min_cohort
        assert less.study_rho is not None
        assert more.study_rho is not None
        assert less.study_rho < more.study_rho
        assert less.rules.embargo_days >= more.rules.embargo_days
        assert set(more.rules.terms.modifiers) <= set(less.rules.terms.modifiers)


def test_what_differs_is_put_in_the_presets_place() -> None:
    policy = read(
        'preset = "balanced"\nyearly_epsilon = 2.5\nmin_cohort = 30\nanalyses = ["mean", "count"]\n'
        'permission = "DUO:0000007"\nconditions = ["ORPHA:803"]\n'
        f'automatic = ["approve-known"]\nknown = ["{KEY}"]\n'
        'modifiers = ["DUO:0000022"]\ncountries = ["FR", "DE"]\n'
    )
    assert policy.rules.preset is Preset.OWN
    assert (policy.yearly_epsilon, policy.min_cohort) == ("2.5", 30)
    assert policy.rules.analyses == ("count", "mean")
    assert policy.rules.terms.permission is Permission.DISEASE
    assert policy.rules.terms.modifiers == (Modifier.GEOGRAPHY,)
    assert policy.rules.terms.countries == ("DE", "FR")
    assert policy.rules.automatic == (Automatic.APPROVE_KNOWN,)
    assert policy.study_epsilon == preset(Preset.BALANCED, DELTA).study_epsilon


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("preset = 'strict'", ["preset", "write careful, balanced, open"]),
        ("yearly = 3", ["did you mean 'yearly_epsilon'?"]),
        ("yearly_epsilon = 0", ["yearly_epsilon"]),
        ("ceiling_epsilon = 0.5", ["ceiling_epsilon", "below what one member may lose"]),
        ("ceiling_epsilon = 10000000", ["ceiling_epsilon", "at most 1000000"]),
        ("yearly_epsilon = true", ["yearly_epsilon", "not a number"]),
        ("study_epsilon = 'much'", ["study_epsilon"]),
        ("approvers = 3", ["approvers", "write 2 or less"]),
        ("embargo_days = -1", ["embargo_days"]),
        ("automatic = ['approve-all']", ["automatic"]),
        ("automatic = ['approve-known']", ["needs the keys that are known"]),
        ("known = ['me']", ["policy.toml"]),
        ("permission = 'GRU'", ["permission"]),
        ("countries = ['DE']", ["countries are named for"]),
        ("= 3", ["not TOML"]),
    ],
)
def test_a_slip_is_one_line_with_its_place(text: str, parts: list[str]) -> None:
    with pytest.raises(BadInput) as found:
        read(text)
    for part in ("policy.toml", *parts):
        assert part in str(found.value)


def entry(text: str) -> PolicySet:
    return PolicySet.of(read(text), "steward")


CHANGES: dict[str, Any] = {
    "yearly_epsilon": 9, "ceiling_epsilon": 9, "lifetime_epsilon": 9, "study_epsilon": 9,
    "researcher_epsilon": 9, "question_epsilon": 9,
    "min_cohort": 99, "min_nodes": 9, "min_collude": 9, "max_drop": 9, "max_memberships": 9,
    "analyses": ["count"], "approvers": 2, "embargo_days": 9, "each_question": True,
    "automatic": ["refuse-outside"], "known": [KEY], "names_columns": True, "reviewed": True,
    "by_organisation": False, "permission": "DUO:0000006", "modifiers": ["DUO:0000045"],
    "linking": {"partners": ["beta", "gamma"], "fields": ["members.name"], "room": 9},
}  # fmt: skip


def toml(value: Any) -> str:
    """A value as TOML writes it in one line."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ", ".join(f"{key} = {json.dumps(each)}" for key, each in value.items()) + "}"


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_a_policy_is_told_to_an_auditor(name: str) -> None:
    value = CHANGES[name]
    old, new = entry(""), entry(f"{name} = {toml(value)}")
    delta = Fraction(1, 10**6)
    assert len(policy_changes(old, new, delta)) == 1, name
    assert policy_changes(new, new, delta) == ()
    assert policy_changes(None, new, delta) == policy_words(new, delta)


def test_every_figure_and_rule_can_be_changed_in_the_file() -> None:
    fields = {
        *Policy.model_fields,
        *type(Policy(yearly_epsilon="1", delta=DELTA).rules).model_fields,
    }
    assert fields - {"delta", "rules", "terms", "preset"} <= set(CHANGES)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("min_cohort = 20.5", "min_cohort: none of the policy's values"),
        ("embargo_days = 2026-01-01", "embargo_days: none of the policy's values"),
        ("min_cohort = -1", "policy.toml: min_cohort, min_nodes"),
        ('automatic = ["approve-known"]', "policy.toml: approve-known needs"),
    ],
)
def test_what_is_wrong_is_told_without_a_programs_words(said: str, words: str) -> None:
    with pytest.raises(BadInput) as wrong:
        read(said)
    assert words in str(wrong.value)
    assert "Value error" not in str(wrong.value)
