"""study.toml is read liberally and refused with one line that says where and why."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from coordinator.study_file import StudyFile, load_study_file
from privacy.contract.canonical import rational
from privacy.contract.signing import SigningKey
from privacy.contract.study import ConsentRule, Investigator
from privacy.errors import BadInput

TODAY = date(2026, 5, 4)
MOST = "1000000000000000"


def load(text: str) -> StudyFile:
    return load_study_file(text, "study.toml", TODAY)


def one(line: str = "", policy: str = "") -> str:
    return f'[[study]]\nid = "s"\nepsilon_allowance = 2\n{line}\n[policy]\n{policy}\n'


def test_the_shortest_file_has_sensible_defaults() -> None:
    file = load('[[study]]\nid = "als"\nepsilon_allowance = 1.5\n')
    study, policy = file.studies[0], file.policy
    assert (study.title, study.purpose, study.consent) == ("als", "research", ConsentRule.REQUIRED)
    assert (study.starts, study.ends) == (date(2026, 1, 1), date(2027, 12, 31))
    assert (policy.t_drop, policy.t_collude, policy.max_memberships) == (0, 1, 1)
    assert policy.delta == Fraction(1, 10**6)
    assert policy.yearly_epsilon == "1.5"


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        ('["2026-01-01", "2027-12-31"]', date(2026, 1, 1), date(2027, 12, 31)),
        ("[2026-01-01, 2027-12-31]", date(2026, 1, 1), date(2027, 12, 31)),
        ("[2026-01-01T10:00:00Z, 2027-12-31]", date(2026, 1, 1), date(2027, 12, 31)),
        ('{from = "2026-02-03", until = "2026-02-03"}', date(2026, 2, 3), date(2026, 2, 3)),
        ("{start = 2026-02-03, end = 2026-03-01}", date(2026, 2, 3), date(2026, 3, 1)),
        ('{starts = "2026", ends = "2027"}', date(2026, 1, 1), date(2027, 12, 31)),
        ('"2026-01-01/2027-12-31"', date(2026, 1, 1), date(2027, 12, 31)),
        ('"2026-01-01 / 2027-12-31"', date(2026, 1, 1), date(2027, 12, 31)),
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ('"2026"', date(2026, 1, 1), date(2026, 12, 31)),
        ("[2026, 2028]", date(2026, 1, 1), date(2028, 12, 31)),
    ],
)
def test_a_period_may_be_written_in_many_ways(written: str, first: date, last: date) -> None:
    study = load(one(f"period = {written}")).studies[0]
    assert (study.starts, study.ends) == (first, last)


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("3", "3"),
        ("0.30", "0.3"),
        ('"0.1"', "0.1"),
        ("1e15", "1" + "0" * 15),
        ('"1e15"', "1" + "0" * 15),
        ("1e24", "1" + "0" * 24),
    ],
)
def test_an_allowance_may_be_a_number_or_text(written: str, exact: str) -> None:
    text = f'[[study]]\nid = "s"\nepsilon_allowance = {written}\n'
    assert load(text).studies[0].epsilon_allowance == exact


def test_the_yearly_limit_is_the_exact_sum_of_the_allowances() -> None:
    text = "".join(
        f'[[study]]\nid = "s{i}"\nepsilon_allowance = {value}\n'
        for i, value in enumerate(["0.1", "0.2", "1e-9"])
    )
    assert load(text).policy.yearly_epsilon == "0.300000001"
    assert load(text + "[policy]\nyearly_epsilon = 5\n").policy.yearly_epsilon == "5"


def test_two_studies_may_each_have_an_allowance_for_the_dearest_question() -> None:
    text = "".join(f'[[study]]\nid = "s{i}"\nepsilon_allowance = 1e15\n' for i in range(2))
    file = load(text)
    assert file.policy.yearly_epsilon == "2" + "0" * 15
    first, second = file.study_facts("0" * 64, ())
    assert file.policy_facts().yearly_rho.units >= first.rho.units + second.rho.units


@pytest.mark.parametrize(
    ("written", "rule"),
    [("true", "required"), ("false", "none"), ('"none"', "none"), ('"required"', "required")],
)
def test_consent_may_be_a_word_or_a_yes(written: str, rule: str) -> None:
    assert load(one(f"consent = {written}")).studies[0].consent.value == rule


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[[study]\n", ["study.toml", "not TOML"]),
        ("", ["study.toml", "no study"]),
        ("study = 3\n", ["study.toml", "no study"]),
        ("[[study]]\nepsilon_allowance = 1\n", ["number 1, id", "missing"]),
        ('[[study]]\nid = "Big One"\nepsilon_allowance = 1\n', ["number 1, id", "lower-case"]),
        ('[[study]]\nid = "s"\n', ["study 's', epsilon_allowance", "missing"]),
        (one("titel = 3"), ["study 's'", "unknown key 'titel'", "title"]),
        (one("title = 3"), ["study 's', title", "not a text"]),
        (one('purpose = "Research Use"'), ["study 's', purpose", "lower-case"]),
        (one('consent = "maybe"'), ["study 's', consent", '"required" or "none"']),
        (one('period = "soon"'), ["study 's', period", "not a day"]),
        (one('period = ["2027-01-01", "2026-01-01"]'), ["period", "ends before it starts"]),
        (one("period = true"), ["period", "not a period"]),
        (one("period = [1, 2, 3]"), ["period", "not a period"]),
        (one("period = {from = 2026, frm = 2027}"), ["period", "not a period"]),
        (one("version = 0"), ["version", "at least 1"]),
        (one('analyses = ["median"]'), ["analyses", "no analysis 'median'", "histogram"]),
        (one('investigators = ["me"]'), ["investigators", "not a public key"]),
        (one(policy="min_cohort = -1"), ["[policy], min_cohort", "at least 0"]),
        (one(policy="t_collude = 0"), ["[policy], t_collude", "at least 1"]),
        (one(policy="max_memberships = 101"), ["max_memberships", "1 to 100"]),
        (one(policy="max_memberships = true"), ["max_memberships", "whole number"]),
        (one(policy="delta = 0.5"), ["[policy], delta", "at most 0.001"]),
        (one(policy="delta = 0"), ["[policy], delta", "too small"]),
        (one(policy="delta = nan"), ["[policy], delta", "finite"]),
        (
            one(policy="delta = 1e-6\ndeclared_members = 200000"),
            ["delta", "1 / (10 x declared_members)"],
        ),
        (one(policy="yearly_epsilon = 0"), ["[policy], yearly_epsilon", "above 0"]),
        (one(policy="floor = 1"), ["[policy]", "unknown key 'floor'"]),
        (one() + '[[study]]\nid = "s"\nepsilon_allowance = 1\n', ["two studies", "'s'"]),
        *[
            (f'[[study]]\nid = "s"\nepsilon_allowance = {value}\n', ["epsilon_allowance", "1e24"])
            for value in ("0", "-1", "inf", "nan", "1.1e24", '"much"', "true", "[1]")
        ],
    ],
)
def test_every_mistake_is_one_line_with_its_place_and_rule(text: str, parts: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        load(text)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith("study.toml")
    for part in parts:
        assert part in line


def test_the_facts_carry_the_policy_into_every_study() -> None:
    policy = (
        "min_cohort = 20\nt_drop = 1\nt_collude = 2\nmax_memberships = 2\ndelta = 1e-7\n"
        "declared_members = 1000000"
    )
    file = load(one(policy=policy))
    person = Investigator(key=SigningKey(b"k" * 32).public.text)
    study = file.study_facts("d" * 64, (person,))[0]
    assert (study.min_cohort, study.t_drop, study.t_collude, study.max_memberships) == (20, 1, 2, 2)
    assert study.delta == rational(Fraction(1, 10**7))
    assert study.investigators == (person,)
    limits = file.policy_facts()
    assert (limits.min_cohort, limits.max_drop, limits.min_collude) == (20, 1, 2)
    assert limits.yearly_rho == study.rho


def test_named_investigators_are_kept() -> None:
    own, other = (SigningKey(letter * 32).public.text for letter in (b"a", b"b"))
    file = load(one(f'investigators = ["{own}"]'))
    (study,) = file.study_facts("d" * 64, (Investigator(key=other),))
    assert study.investigators == (Investigator(key=own),)
