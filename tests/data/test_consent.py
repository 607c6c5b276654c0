"""Consent in every form it is written in, changes at the node, and the day that is asked about."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from models.cohort.expression import Everyone
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from node.consent import Consent, consent_of, purpose_key, set_consent
from node.engine import total
from node.importer import ImportReport, import_folder
from node.records import Records
from privacy.contract.consent import ConsentState
from privacy.errors import BadInput

TODAY = date(2026, 3, 1)
DICTIONARY = load_dictionary(
    '[tables.people]\nkey = "who"\nrows = "one"\n[tables.people.columns]\nn.type = "number"\n',
    "dictionary.toml",
)


@pytest.fixture
def records() -> Records:
    return Records.open(":memory:")


def load(
    records: Records,
    folder: Path,
    people: str,
    events: str | None = None,
    needed: tuple[str, ...] = ("research",),
) -> ImportReport:
    (folder / "people.csv").write_text(people)
    (folder / "consent.csv").unlink(missing_ok=True)
    if events is not None:
        (folder / "consent.csv").write_text(events)
    return import_folder(records, DICTIONARY, folder, consent_purposes=needed)


def who(records: Records, purpose: str = "research", today: date = TODAY) -> str:
    """The members who consent, one letter each; the engine must count as many."""
    with records.snapshot() as cursor:
        keys = [key for (key,) in cursor.execute("SELECT member FROM members").fetchall()]
    named = purpose_key(purpose)
    found = [(key, consent_of(records, key)) for key in sorted(keys)]
    agreeing = [key for key, said in found if said.get(named, said["all"]).holds(today)]
    shape = CellCounts((), 1, 1)
    counted = total(records, shape, Everyone(), purpose=purpose, today=today).tolist()
    assert counted == [len(agreeing)]
    return "".join(agreeing)


def test_words_for_yes_and_no(records: Records, tmp_path: Path) -> None:
    words = "yes TRUE t 1 given Granted all no False n 0 refused withdrawn expired requested"
    words += " declined"
    rows = [f"{chr(97 + i)},1,{word}" for i, word in enumerate(words.split())]
    load(records, tmp_path, "who,n,consent\n" + "\n".join([*rows, "y,1,", "z,1,NA"]))
    assert who(records) == "abcdefg"
    assert who(records, "a purpose never heard of") == "abcdefg"


def test_without_consent_required_nobody_is_left_out(records: Records, tmp_path: Path) -> None:
    load(records, tmp_path, "who,n\na,1\nb,2\n", needed=())
    shape = CellCounts((), 1, 1)
    assert total(records, shape, Everyone(), purpose=None, today=TODAY).tolist() == [2]
    assert who(records) == ""


def test_a_list_of_purposes(records: Records, tmp_path: Path) -> None:
    people = "who,n,consent\na,1,research;teaching\nb,1,teaching\nc,1,no\nd,1,all\ne,1,Research\n"
    load(records, tmp_path, people)
    assert who(records) == "ade"
    assert who(records, "teaching") == "abd"
    assert who(records, "anything else") == "d"


def test_purposes_are_read_where_no_study_names_one(records: Records, tmp_path: Path) -> None:
    report = load(records, tmp_path, "who,n,consent\na,1,research\nb,1,no\n", needed=())
    assert report.warnings == ("people.csv, column consent: 'research' is read as a purpose",)
    assert who(records) == "a"


def test_a_column_per_purpose(records: Records, tmp_path: Path) -> None:
    people = (
        "who,n,consent,consent_als_research,consent_date\n"
        "a,1,yes,no,2020-01-01\nb,1,no,yes,\nc,1,yes,,2020-01-01\n"
    )
    report = load(records, tmp_path, people, needed=("ALS research",))
    assert who(records, "als-research") == "b"
    assert who(records, "other") == "ac"
    # what only looks like a purpose is one to which nobody consents
    assert who(records, "date") == ""
    assert report.warnings == (
        "people.csv, column consent_date: '2020-01-01' is not read as consent",
    )


def test_events_of_a_consent_file(records: Records, tmp_path: Path) -> None:
    events = (
        "who,purpose,state,from,until\n"
        "a,research,given,,\n"
        "b,all,given,,\nb,research,refused,,\n"
        "c,research,given,,\nc,all,withdrawn,,\n"
        "d,research,refused,,\nd,all,given,,\n"
        "e,research,given,,\ne,research,withdrawn,,\n"
        "f,research,requested,,\nf,research,given,,\n"
        "g,research,given,2026-03-01,2026-03-01\n"
        "h,research,given,2026-03-02,\n"
        "i,research,given,,2026-02-28\n"
        "x,research,given,,\n"
    )
    load(records, tmp_path, "who,n\n" + "".join(f"{key},1\n" for key in "abcdefghijk"), events)
    assert who(records) == "afg"
    assert who(records, "other") == "bd"
    assert who(records, today=date(2026, 2, 1)) == "afi"
    assert who(records, today=date(2026, 3, 2)) == "afh"


def test_a_consent_file_goes_before_columns(records: Records, tmp_path: Path) -> None:
    people = "who,n,consent\na,1,yes\nb,1,no\nc,1,yes\n"
    events = "member;purpose;state\na;all;withdrawn\nb;research;given\n"
    load(records, tmp_path, people, events)
    assert who(records) == "bc"
    assert who(records, "other") == "c"


@pytest.mark.parametrize(
    ("people", "events", "where", "what"),
    [
        ("who,n\na,1\n", None, "people.csv, column consent", "no consent column"),
        ("who,n,consent_other\na,1,yes\n", None, "people.csv, column consent", "no consent column"),
        ("who,n,consent\na,1,perhaps\n", None, "people.csv, column consent, row 1", "no consent"),
        (
            "who,n,consent\na,1,yes;research\n",
            None,
            "people.csv, column consent, row 1",
            "no consent",
        ),
        (
            "who,n,consent_research\na,1,research\n",
            None,
            "people.csv, column consent_research, row 1",
            "no consent",
        ),
        ("who,n,consent,Consent_All\na,1,yes,no\n", None, "people.csv", "the same consent"),
        ("who,n\na,1\n", "who,purpose\na,x\n", "consent.csv, column state", "missing"),
        (
            "who,n\na,1\n",
            "who,purpose,state\na,x,given\na,x,maybe\n",
            "consent.csv, column state, row 2",
            "no state",
        ),
        (
            "who,n\na,1\n",
            "who,purpose,state,from\na,x,given,soon\n",
            "consent.csv, column from, row 1",
            "no date",
        ),
        (
            "who,n\na,1\n",
            "who,purpose,state,from,until\na,x,given,2026-01-01,2026-01-01\n"
            "a,x,given,2026-02-01,2026-01-01\n",
            "consent.csv, column until, row 2",
            "last day is before the first",
        ),
        ("who,n\na,1\n", "who,purpose,state\na,,yes\n", "consent.csv, column purpose, row 1", "no"),
        ("who,n\na,1\n", "who,purpose,state\n,x,yes\n", "consent.csv, column who, row 1", "empty"),
    ],
)
def test_consent_that_cannot_be_read_is_refused(
    records: Records, tmp_path: Path, people: str, events: str | None, where: str, what: str
) -> None:
    with pytest.raises(BadInput) as refused:
        load(records, tmp_path, people, events)
    assert refused.value.where == where
    assert what in refused.value.what
    assert records.members == 0


def test_changes_at_the_node_are_effective_at_once(records: Records, tmp_path: Path) -> None:
    load(records, tmp_path, "who,n,consent\na,1,yes\nb,1,no\nc,1,yes\n")
    set_consent(records, "a", "research", ConsentState.WITHDRAWN)
    set_consent(records, "b", "Research", ConsentState.GIVEN, valid_until=date(2026, 3, 1))
    assert who(records) == "bc"
    assert who(records, today=date(2026, 3, 2)) == "c"
    assert who(records, "other") == "ac"
    set_consent(records, "c", "all", ConsentState.WITHDRAWN)
    assert (who(records), who(records, "other")) == ("b", "a")
    set_consent(records, "c", "all", ConsentState.GIVEN)
    assert (who(records), who(records, "other")) == ("bc", "ac")
    set_consent(records, "a", "all", ConsentState.GIVEN)
    assert who(records) == "bc"  # the refusal of this purpose stands
    assert consent_of(records, "b")["research"] == Consent(True, None, date(2026, 3, 1))


def test_a_withdrawal_outlives_the_next_import_and_a_grant_does_not(
    records: Records, tmp_path: Path
) -> None:
    people = "who,n,consent\na,1,yes\nb,1,no\nc,1,yes\nd,1,yes\n"
    load(records, tmp_path, people)
    set_consent(records, "a", "research", ConsentState.WITHDRAWN)
    set_consent(records, "b", "all", ConsentState.GIVEN)
    set_consent(records, "c", "all", ConsentState.REFUSED)
    set_consent(records, "c", "teaching", ConsentState.GIVEN)
    set_consent(records, "d", "research", ConsentState.REFUSED)
    set_consent(records, "d", "research", ConsentState.GIVEN)
    load(records, tmp_path, people)
    assert who(records) == "d"
    assert who(records, "teaching") == "acd"
    assert who(records, "other") == "ad"
    set_consent(records, "a", "research", ConsentState.GIVEN)
    load(records, tmp_path, people)
    assert who(records) == "ad"


def test_an_unknown_member_or_purpose_is_refused(records: Records, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no member 'a'"):
        set_consent(records, "a", "research", ConsentState.GIVEN)
    load(records, tmp_path, "who,n,consent\na,1,yes\n")
    with pytest.raises(BadInput, match="no member 'zed'"):
        set_consent(records, "zed", "research", ConsentState.GIVEN)
    with pytest.raises(BadInput, match="is no purpose"):
        set_consent(records, "a", " - ", ConsentState.GIVEN)
    assert set(consent_of(records, "a")) == {"all"}


def test_a_declared_consent_column_is_data_and_consent(records: Records, tmp_path: Path) -> None:
    dictionary = load_dictionary(
        '[tables.people]\nkey = "who"\nrows = "one"\n[tables.people.columns]\n'
        'consent.type = "boolean"\n',
        "dictionary.toml",
    )
    (tmp_path / "people.csv").write_text("who,consent\na,yes\nb,no\n")
    import_folder(records, dictionary, tmp_path, consent_purposes=["research"])
    assert who(records) == "a"
    shape = CellCounts((dictionary.resolve("consent"),), 1, 1)
    assert total(records, shape, Everyone(), purpose=None, today=TODAY).tolist() == [1, 1]


def test_a_declared_table_may_be_called_consent(records: Records, tmp_path: Path) -> None:
    dictionary = load_dictionary('[tables.consent]\nkey = "who"\nrows = "one"\n', "dictionary.toml")
    (tmp_path / "consent.csv").write_text("who,consent_research\na,yes\nb,no\n")
    import_folder(records, dictionary, tmp_path, consent_purposes=["research"])
    assert who(records) == "a"
