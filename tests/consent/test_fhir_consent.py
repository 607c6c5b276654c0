"""Words on consent as FHIR R4 and CSV: read back as written, and refused by row and field."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.consent import consent_of
from node.consent_files import COLUMNS, all_words, read_words, record_words, row_of, write_words
from node.consent_history import history
from node.importer import import_folder
from node.records import Records
from privacy.contract.canonical import canonical_bytes
from privacy.contract.consent import ConsentState, Word
from privacy.contract.duo_text import parse_terms
from privacy.contract.fhir_consent import from_fhir, to_fhir
from privacy.errors import BadInput
from tests.support.consent_world import DICTIONARY, HEALTH, START, counted, load
from tests.support.terms import any_terms

AT = "2026-03-01T12:00:00Z"
SHOWN = "ab" * 32
days = st.dates(date(2000, 1, 1), date(2090, 1, 1)).map(lambda day: day.isoformat())
texts = st.text(st.characters(categories=("L", "N", "P"), exclude_characters="\x85"), max_size=20)


@st.composite
def any_word(draw: st.DrawFn) -> Word:
    state = draw(st.sampled_from(ConsentState))
    given_now = state is ConsentState.GIVEN
    span = sorted([draw(days), draw(days)]) if draw(st.booleans()) else ["", ""]
    return Word(
        member=draw(texts.filter(bool)),
        purpose=draw(st.sampled_from(["all", "research", "als_research"])),
        state=state,
        terms=draw(st.none() | any_terms()) if given_now else None,
        valid_from=span[0],
        valid_until=span[1],
        text=draw(st.sampled_from(["", SHOWN])),
        language=draw(st.sampled_from(["", "de", "de-CH"])),
        evidence=draw(texts),
        recorder=draw(texts),
        recorded_at=draw(st.sampled_from(["", AT])),
    )


@given(any_word())
def test_a_word_reads_back_from_fhir(word: Word) -> None:
    resource = to_fhir(word)
    assert from_fhir(json.loads(json.dumps(resource)), "x") == word
    assert canonical_bytes(resource)
    assert resource["resourceType"] == "Consent"
    assert "policy" in resource or "policyRule" in resource  # R4: one of them is there
    assert {"status", "scope", "category", "patient"} <= resource.keys()


def consent(**changes: Any) -> dict[str, Any]:
    """A Consent as another program may write it."""
    return {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "scope": {"coding": [{"system": "…/consentscope", "code": "research"}]},
        "category": [{"text": "research"}],
        "patient": {"reference": "Patient/a"},
        "dateTime": "2026-02-03T10:00:00Z",
        "policyRule": {"text": "form 3"},
        "provision": {
            "type": "permit",
            "period": {"start": "2026-02-03", "end": "2031-02-03T00:00:00Z"},
            "purpose": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                    "code": "HRESCH",
                }
            ],
        },
        **changes,
    }


def provision(**changes: Any) -> dict[str, Any]:
    return consent(provision={**consent()["provision"], **changes})


def test_a_consent_of_another_program_is_understood() -> None:
    word = from_fhir(consent(), "x")
    assert (word.member, word.purpose, word.state) == ("a", "all", ConsentState.GIVEN)
    assert word.terms == parse_terms("HMB")
    assert (word.valid_from, word.valid_until) == ("2026-02-03", "2031-02-03")
    denied = from_fhir(provision(type="deny"), "x")
    assert (denied.state, denied.terms) == (ConsentState.REFUSED, None)


PLAIN = {"type": "permit"}


@pytest.mark.parametrize(
    ("resource", "where", "what"),
    [
        ({"resourceType": "Patient"}, "x", "no Consent"),
        (consent(status="entered-in-error"), "x, status", "no status"),
        (consent(scope={"coding": [{"code": "treatment"}]}), "x, scope", "not research"),
        (consent(scope=None), "x, scope", "not an object"),
        (consent(patient={"display": "Ada"}), "x, patient", "nobody is named"),
        (consent(modifierExtension=[]), "x, modifierExtension", "is not read"),
        (consent(provision=None), "x, provision", "missing"),
        (consent(provision={}), "x, provision.type", "missing"),
        (provision(provision=[PLAIN]), "x, provision.provision", "could restrict"),
        (provision(actor=[]), "x, provision.actor", "could restrict"),
        (provision(period={"end": "soon"}), "x, provision.period.end", "not a day"),
        (provision(purpose=[{"code": "TREAT"}]), "x, provision.purpose 1", "no purpose"),
        (provision(purpose="HRESCH"), "x, provision.purpose", "not a list"),
        (
            provision(purpose=[{"system": "urn:iso:std:iso:3166", "code": "DE"}]),
            "x, provision.purpose",
            "not one permission",
        ),
        (
            provision(purpose=[{"system": "urn:cairn:purpose", "code": p} for p in "ab"]),
            "x, provision.purpose",
            "more than one purpose",
        ),
        (
            provision(period={"start": "2026-02-03", "end": "2026-02-01"}),
            "x, Word",
            "last day is before",
        ),
        (consent(language=7), "x, Word.language", "not a text"),
        (consent(policy=[{"uri": "urn:sha256:zz"}]), "x, Word.text", "pattern"),
    ],
)
def test_what_is_not_understood_is_refused_by_field(
    resource: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(BadInput) as refused:
        from_fhir(resource, "x")
    assert what in refused.value.what
    assert refused.value.where == where


# files


def write(path: Path, value: str) -> Path:
    path.write_text(value)
    return path


def in_csv(words: list[Word]) -> str:
    rows = [",".join(row_of(word)[name] for name in COLUMNS) for word in words]
    return "\n".join([",".join(COLUMNS), *rows]) + "\n"


def in_ndjson(words: list[Word]) -> str:
    return "".join(json.dumps(to_fhir(word)) + "\n" for word in words)


def in_bundle(words: list[Word]) -> str:
    entries = [{"resource": to_fhir(word)} for word in words]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


FORMS = [("w.csv", in_csv), ("w.ndjson", in_ndjson), ("w.json", in_bundle)]
WORDS = [
    Word(member="a", purpose="research", state=ConsentState.GIVEN, terms=parse_terms("HMB PUB")),
    Word(member="b", purpose="all", state=ConsentState.GIVEN, valid_until="2030-01-01", text=SHOWN),
    Word(member="b", purpose="teaching", state=ConsentState.REFUSED, evidence="letter"),
    Word(member="c", purpose="all", state=ConsentState.WITHDRAWN, recorder="M. Muster"),
]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_words_go_out_and_come_back(
    tmp_path: Path, name: str, form: Callable[[list[Word]], str]
) -> None:
    first, second = Records.open(":memory:"), Records.open(":memory:")
    for records in (first, second):
        load(records, tmp_path)
    words = read_words(write(tmp_path / name, form(WORDS)))
    assert record_words(first, words, at=AT, today=START) == 4
    out = tmp_path / f"out{Path(name).suffix}"
    assert write_words(first, out) == 4
    assert out.stat().st_mode & 0o077 == 0
    assert record_words(second, read_words(out), at="later", today=START) == 4
    assert list(all_words(first)) == list(all_words(second))
    for member in "abc":
        assert consent_of(first, member) == consent_of(second, member)
    assert counted(second, "research", START, HEALTH) == 1  # only b: a wants it published


@pytest.mark.parametrize("evidence", ['=HYPERLINK("x")', "-5", "-a", "'=a", "@b", "+1 letter"])
def test_an_exported_file_computes_nothing_and_says_the_same_when_it_comes_back(
    tmp_path: Path, evidence: str
) -> None:
    first, second = Records.open(":memory:"), Records.open(":memory:")
    for records in (first, second):
        load(records, tmp_path)
    word = WORDS[2].model_copy(update={"evidence": evidence, "recorder": "=cmd"})
    record_words(first, read_words(write(tmp_path / "w.ndjson", in_ndjson([word]))), at=AT,
                 today=START)  # fmt: skip
    write_words(first, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["recorder"] == "'=cmd"
    assert row["evidence"][0] not in "=+@"
    assert row["evidence"][0] != "-" or row["evidence"] == "-5"
    record_words(second, read_words(tmp_path / "out.csv"), at=AT, today=START)
    assert list(all_words(first)) == list(all_words(second))
    assert [each.evidence for each in all_words(second)] == [evidence]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_file_beside_the_data_says_the_same_in_every_form(
    tmp_path: Path, name: str, form: Callable[[list[Word]], str]
) -> None:
    records = Records.open(":memory:")
    (tmp_path / "people.csv").write_text("who,n\na,1\nb,1\nc,1\n")
    write(tmp_path / f"consent{Path(name).suffix}", form(WORDS))
    import_folder(records, DICTIONARY, tmp_path, at=AT)
    found = [(w.member, w.purpose, w.state.value) for w in all_words(records)]
    assert sorted(found) == sorted([(w.member, w.purpose, w.state.value) for w in WORDS])
    assert history(records, "a")[0][1].terms == parse_terms("HMB PUB")
    assert history(records, "b")[0][1].text == SHOWN


def test_one_word_that_is_wrong_keeps_all_out(tmp_path: Path) -> None:
    records = Records.open(":memory:")
    load(records, tmp_path)
    words = [*WORDS, WORDS[0].model_copy(update={"member": "nobody"})]
    for name, form, where in (
        ("w.csv", in_csv, "w.csv, row 5"),
        ("w.ndjson", in_ndjson, "w.ndjson, line 5"),
        ("w.json", in_bundle, "w.json, entry 5"),
    ):
        read = read_words(write(tmp_path / name, form(words)))
        with pytest.raises(BadInput, match="no member 'nobody'") as refused:
            record_words(records, read, at=AT, today=START)
        assert refused.value.where == where
    assert list(all_words(records)) == []


@pytest.mark.parametrize(
    ("name", "content", "where", "what"),
    [
        ("w.txt", "", "w.txt", "no such form"),
        ("w.json", "{", "w.json", "not JSON"),
        ("w.json", '{"resourceType": "Bundle", "entry": [3]}', "w.json, entry 1", "no FHIR"),
        ("w.ndjson", "\n[]\n", "w.ndjson, line 2", "no FHIR"),
        ("w.csv", "member,purpose\n", "w.csv, column state", "missing"),
        ("w.csv", "member,purpose,state,mood\n", "w.csv, column mood", "no such column"),
        ("w.csv", "member,purpose,state\na,x,maybe\n", "w.csv, row 1, state", "none of the words"),
        (
            "w.csv",
            "member,purpose,state,terms\na,x,given,HMB\na,x,given,XYZ\n",
            "w.csv, row 2, terms",
            "no rule",
        ),
        ("w.csv", "member,purpose,state,until\na,x,given,soon\n", "w.csv", "not a day"),
    ],
)
def test_files_that_cannot_be_read_say_where(
    tmp_path: Path, name: str, content: str, where: str, what: str
) -> None:
    with pytest.raises(BadInput) as refused:
        read_words(write(tmp_path / name, content))
    assert refused.value.where.startswith(where)
    assert what.lower() in refused.value.what.lower()


def test_the_same_words_again_change_nothing_and_undo_nothing(tmp_path: Path) -> None:
    """A file that is imported twice does not bring back what was said before something newer."""
    records = Records.open(":memory:")
    load(records, tmp_path)
    dated = [word.model_copy(update={"recorded_at": AT}) for word in WORDS]
    words = read_words(write(tmp_path / "w.ndjson", in_ndjson(dated)))
    assert record_words(records, words, at=AT, today=START) == 4
    newer = Word(member="b", purpose="all", state=ConsentState.WITHDRAWN)
    (tmp_path / "n.csv").write_text(in_csv([newer]))
    for _ in range(2):  # without its instant a withdrawal always counts
        assert record_words(records, read_words(tmp_path / "n.csv"), at=AT, today=START) == 1
    assert record_words(records, words, at=AT, today=START) == 0
    assert not consent_of(records, "b")["all"].given


def test_two_files_of_consent_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "consent.ndjson", in_ndjson(WORDS))
    with pytest.raises(BadInput, match="two files of consent"):
        load(Records.open(":memory:"), tmp_path, events="who,purpose,state\na,all,given\n")


def test_other_resources_are_passed_over(tmp_path: Path) -> None:
    mixed = json.dumps({"resourceType": "Patient", "id": "a"}) + "\n" + in_ndjson(WORDS[:1])
    [placed] = read_words(write(tmp_path / "w.ndjson", mixed))
    assert placed.where == "w.ndjson, line 2"
    assert copy.copy(placed.word) == WORDS[0]
