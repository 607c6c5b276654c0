"""policy.toml: a preset and what is different in it.

    preset = "balanced"
    yearly_epsilon = 2
    approvers = 2
    permission = "DUO:0000007"
    conditions = ["MONDO:0004976"]

    [linking]
    partners = ["ms-league", "mood-circle"]
    fields = ["members.name", "members.born", "members.link_code"]
    room = 5000

Every mistake is one line that names the file, the key and the rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from privacy.accounting.individual import MOST_CEILING
from privacy.contract.canonical import canonical_bytes
from privacy.contract.policy import Policy, Preset, Rules
from privacy.contract.presets import preset
from privacy.errors import BadInput

_EPSILONS = (
    "yearly_epsilon",
    "ceiling_epsilon",
    "lifetime_epsilon",
    "study_epsilon",
    "researcher_epsilon",
    "question_epsilon",
)
_TERMS = ("permission", "conditions", "modifiers", "countries", "studies")
_FIGURES = tuple(name for name in Policy.model_fields if name not in ("delta", "rules"))
_RULES = tuple(name for name in Rules.model_fields if name not in ("preset", "terms"))
_KNOWN = ("preset", *_FIGURES, *_RULES, *_TERMS)


def read_policy(content: str, where: str, delta: str) -> Policy:
    """The policy that the text describes, at the ledger's `delta`; raises BadInput."""
    try:
        said = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"not TOML ({error})", where=where) from None
    for key in said:
        if key not in _KNOWN:
            close = get_close_matches(key, _KNOWN, n=1)
            instead = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(_KNOWN)
            raise BadInput(f"unknown key {key!r}", where=where, instead=instead)
        if key not in _EPSILONS:
            _check_plain(said[key], f"{where}, {key}")
    base = preset(_preset(said.get("preset", Preset.OWN.value), where), delta)
    return _changed(base, said, where)


def _check_plain(value: Any, where: str) -> None:
    """No fractions and dates, of which no rule is made."""
    try:
        canonical_bytes(value)
    except BadInput:
        raise BadInput(
            "none of the policy's values", where=where, instead="write a whole number, or text"
        ) from None


def _preset(value: Any, where: str) -> Preset:
    try:
        return Preset(value)
    except ValueError:
        known = ", ".join(each.value for each in Preset)
        raise BadInput("no preset", where=f"{where}, preset", instead=f"write {known}") from None


def _changed(base: Policy, said: Mapping[str, Any], where: str) -> Policy:
    """`base` with everything that is said put in its place."""
    figures = {name: _figure(name, said[name], where) for name in _FIGURES if name in said}
    rules = {name: _listed(said[name]) for name in _RULES if name in said}
    if isinstance(rules.get("linking"), Mapping):
        rules["linking"] = {name: _listed(value) for name, value in rules["linking"].items()}
    terms = {name: _listed(said[name]) for name in _TERMS if name in said}
    before = base.to_json()
    written = before["rules"] | rules | {"terms": before["rules"]["terms"] | terms}
    changed = before | figures | {"rules": written}
    if changed != before:
        changed["rules"] = written | {"preset": Preset.OWN.value}
    policy = _policy(changed, where)
    _check_epsilons(policy, where)
    return policy


def _figure(name: str, value: Any, where: str) -> Any:
    if name not in _EPSILONS:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadInput("not a number", where=f"{where}, {name}")
    return str(value)


def _listed(value: Any) -> Any:
    return sorted(set(value)) if _is_texts(value) else value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _policy(said: dict[str, Any], where: str) -> Policy:
    try:
        return Policy.from_json(said)
    except BadInput as error:
        field = error.where.removeprefix("Policy").removeprefix(".")
        field = field.removeprefix("rules.").removeprefix("terms.")
        place = f"{where}, {field}" if field not in ("", "rules", "terms") else where
        raise BadInput(error.what, where=place, instead=error.instead) from None


def _check_epsilons(policy: Policy, where: str) -> None:
    for name in _EPSILONS:
        try:
            _ = getattr(policy, name.replace("_epsilon", "_rho"))
        except BadInput as error:
            raise BadInput(error.what, where=f"{where}, {name}", instead=error.instead) from None
    if policy.ceiling_rho is not None and policy.rules.linking is not None:
        raise BadInput(
            "members who are linked are not charged one by one",
            where=f"{where}, ceiling_epsilon",
            instead="leave out ceiling_epsilon, or linking",
        )
    if policy.ceiling_rho is not None and not policy.yearly_rho <= policy.ceiling_rho:
        raise BadInput(
            "the ceiling is below what one member may lose",
            where=f"{where}, ceiling_epsilon",
            instead="write at least yearly_epsilon, or leave it out",
        )
    if policy.ceiling_rho is not None and not policy.ceiling_rho <= MOST_CEILING:
        raise BadInput(
            "no members are charged one by one under such a ceiling",
            where=f"{where}, ceiling_epsilon",
            instead="write at most 1000000",
        )
