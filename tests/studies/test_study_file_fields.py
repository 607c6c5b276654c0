"""Everything a study says can be written in study.toml, and every slip is said in one line."""

from __future__ import annotations

from datetime import date

import pytest

from coordinator.study_file import load_study_file
from privacy.contract.duo import Research
from privacy.contract.signing import SigningKey
from privacy.contract.study import ProtocolReference, ProtocolText, Study
from privacy.errors import BadInput

KEY = SigningKey(b"k" * 32).public.text
WHOLE = f"""
[[study]]
id = "als"
title = "Progression"
question = "Does treatment slow progression?"
summary = "We count, nobody is shown."
protocol = {{reference = "https://example.org/p.pdf", sha256 = "{"0" * 64}"}}
purpose = "disease-research"
conditions = ["ORPHA:803", "MONDO:0004976"]
for_profit = false
publishes = true
returns_results = true
legal_basis = "GDPR Art. 9(2)(j)"
permit = "EC 12/2026"
epsilon_allowance = 10
epsilon_per_researcher = 2.5
cohort = "age >= 18"
variables = ["visits.*", "members.age"]
analyses = ["count"]
[[study.investigators]]
name = "Ada"
affiliation = "University"
country = "DE"
key = "{KEY}"
"""


def load(text: str) -> Study:
    file = load_study_file(text, "study.toml", date(2026, 5, 4))
    return file.study_facts("0" * 64, ())[0]


def test_every_field_is_read() -> None:
    study = load(WHOLE)
    assert study.research is Research.DISEASE
    assert study.conditions == ("MONDO:0004976", "ORPHA:803")
    assert isinstance(study.protocol, ProtocolReference)
    assert study.investigators[0].words == "Ada, University, DE"
    assert study.variables == ("members.age", "visits.*")
    assert (study.epsilon_per_researcher, study.cohort) == ("2.5", "age >= 18")
    assert (study.permit, study.legal_basis) == ("EC 12/2026", "GDPR Art. 9(2)(j)")
    assert (study.publishes, study.returns_results, study.for_profit) == (True, True, False)


def test_a_protocol_may_stand_in_the_file() -> None:
    study = load('[[study]]\nid = "s"\nepsilon_allowance = 1\nprotocol = "First we count."')
    assert study.protocol == ProtocolText(text="First we count.")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("protocl = 'x'", ["did you mean 'protocol'?"]),
        ("protocol = 3", ["protocol", "write the text"]),
        ("protocol = {reference = 'x'}", ["protocol, sha256", "missing"]),
        ("protocol = {reference = 'x', sha256 = 'y'}", ["protocol, sha256"]),
        ('conditions = ["ALS"]', ["conditions", "'ALS'", "MONDO:0004976"]),
        ('research = "disease"', ["research", "names its conditions"]),
        ('research = "cats"', ["research", "known: disease, health"]),
        ('for_profit = "no"', ["for_profit", "true or false"]),
        ("epsilon_per_researcher = 0", ["epsilon_per_researcher", "above 0"]),
        ("variables = 'age'", ["variables", "list of texts"]),
        ("investigators = 'me'", ["investigators", "not a list"]),
        ("investigators = [{name = 'Ada'}]", ["investigators", "not a public key"]),
        (f"investigators = [{{key = '{KEY}', country = 'de'}}]", ["investigators, country"]),
        (f"investigators = [{{key = '{KEY}', mail = 'x'}}]", ["investigators, mail"]),
        (f"investigators = ['{KEY}', '{KEY}']", ["investigators", "one key"]),
    ],
)
def test_every_slip_is_one_line_with_its_place_and_rule(line: str, parts: list[str]) -> None:
    with pytest.raises(BadInput) as found:
        load(f'[[study]]\nid = "s"\nepsilon_allowance = 2\n{line}\n')
    said = str(found.value)
    assert "\n" not in said
    for part in ("study.toml, study 's'", *parts):
        assert part in said, said
