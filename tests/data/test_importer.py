"""Files are imported whole and as declared, or refused in one line with nothing changed."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.cohort.expression import Everyone
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from node.engine import total
from node.importer import check_folder, import_folder
from node.records import Records
from privacy.errors import BadInput
from tests.support.data_factory import TODAY

DICTIONARY = load_dictionary(
    """
    [tables.members]
    key = "id"
    rows = "one"
    [tables.members.columns]
    arm = { levels = ["drug", "placebo"] }
    ecog = { levels = [0, 1, 2] }
    age = { type = "integer", lower = 18, upper = 90, missing = ["", "-9"] }
    bmi = { type = "number", bins = [10, 20, 30] }
    onset = { type = "date" }
    active = { type = "boolean" }
    email = { type = "text", identifier = true }
    [tables.visits]
    key = "id"
    rows = "many"
    max_rows_per_member = 2
    time = "day"
    [tables.visits.columns]
    score = { type = "number", lower = 0, upper = 10 }
    """,
    "dictionary.toml",
)
HEADER = "id,arm,ecog,age,bmi,onset,active,email,consent"
GOOD = "a,drug,1,40,21.5,2020-02-29,yes,x@y,yes"
VISITS = "id,day,score\na,2024-01-02,3\n"
NEEDED = {"consent_purposes": ["als-research"]}


@pytest.fixture
def records() -> Records:
    return Records.open(":memory:")


def put(folder: Path, members: str | bytes, visits: str = VISITS) -> Path:
    data = members if isinstance(members, bytes) else members.encode()
    (folder / "members.csv").write_bytes(data)
    (folder / "visits.csv").write_text(visits)
    return folder


def rows(records: Records, table: str = "members") -> list[dict[str, Any]]:
    with records.snapshot() as cursor:
        found = cursor.execute(f'FROM "{table}" ORDER BY member_ix').df()
    return list(json.loads(found.to_json(orient="records", date_format="iso")))


def member(records: Records, key: str = "a") -> dict[str, Any]:
    return next(row for row in rows(records) if row["member"] == key)


def test_values_are_kept_as_declared(records: Records, tmp_path: Path) -> None:
    report = import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n"), **NEEDED)
    found = member(records)
    assert (found["members.arm"], found["members.ecog"], found["members.active"]) == (0, 1, 1)
    assert (found["members.age"], found["members.bmi"], found["bin:members.bmi"]) == (40, 21.5, 1)
    assert found["members.onset"].startswith("2020-02-29")
    assert report.members == 1
    assert report.rows == {"visits": 1}
    assert report.warnings == ()
    assert records.dictionary_digest == DICTIONARY.digest
    assert records.members == 1


@pytest.mark.parametrize(
    ("written", "column", "expected"),
    [
        ("1.0", "ecog", 1),
        (" 2 ", "ecog", 2),
        ("3.0", "age", 18),
        ("40.0", "age", 40),
        ("4e1", "age", 40),
        ("-9", "age", None),
        ("200", "age", 90),
        ("NA", "bmi", None),
        ("?", "bmi", None),
        (".5", "bmi", 10),
        ("+20.", "bmi", 20),
        ("TRUE", "active", 1),
        ("n", "active", 0),
        ("0", "active", 0),
        ("F", "active", 0),
        ("1.0", "active", 1),
        ("2020-01-01T10:00:00Z", "onset", "2020-01-01"),
        ("2020-01-01 10:00", "onset", "2020-01-01"),
    ],
)
def test_spellings_of_a_value(
    records: Records, tmp_path: Path, written: str, column: str, expected: Any
) -> None:
    fields = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {column: written}
    import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{','.join(fields.values())}\n"))
    found = member(records)[f"members.{column}"]
    assert (found[:10] if isinstance(found, str) else found) == expected


@pytest.mark.parametrize(
    "data",
    [
        f"\ufeff{HEADER}\r\n{GOOD}\r\n".encode(),
        f"{HEADER}\n{GOOD}".replace(",", ";").encode(),
        f"{HEADER}\n{GOOD}\n".replace(",", "\t").encode(),
        f'"{HEADER}"\n{GOOD}\n'.replace(",", '","').replace("a,", '"a",').encode(),
        f"{HEADER},more\n{GOOD},1\n".encode(),
        f"{HEADER}\n{GOOD.replace('x@y', chr(34) + 'x,;' + chr(10) + 'y' + chr(34))}\n".encode(),
        f"{HEADER}\n\n{GOOD}\n\n".encode(),
    ],
)
def test_csv_dialects(records: Records, tmp_path: Path, data: bytes) -> None:
    data = b"\n".join(data.split(b"\n")) if b'""' not in data else data
    import_folder(records, DICTIONARY, put(tmp_path, _unquote(data)))
    assert member(records)["members.bmi"] == 21.5


def _unquote(data: bytes) -> bytes:
    """The fourth dialect above quotes the header alone."""
    if not data.startswith(b'"id'):
        return data
    return b'"' + HEADER.replace(",", '","').encode() + b'"\n' + GOOD.encode() + b"\n"


def line(**changes: str) -> str:
    fields = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | changes
    return ",".join(fields.values())


BROKEN: dict[str, tuple[str | bytes, str, str, str]] = {
    "missing column": (
        "id,arm\na,drug\n",
        "members.csv, column ecog",
        "the column is missing",
        "add it",
    ),
    "missing column, near miss": (
        f"{HEADER}\n{GOOD}\n".replace("onset", "onsett"),
        "members.csv, column onset",
        "the column is missing",
        "'onsett'",
    ),
    "unknown level": (
        f"{HEADER}\n{GOOD}\n{line(id='b', arm='plcebo')}\n",
        "members.csv, column arm, row 2",
        "'plcebo' is an unknown level",
        "is 'placebo' meant?",
    ),
    "unknown level, none near": (
        f"{HEADER}\n{line(ecog='7')}\n",
        "members.csv, column ecog, row 1",
        "'7' is an unknown level",
        "declared levels: 0, 1, 2",
    ),
    "level in another case": (
        f"{HEADER}\n{line(arm='Drug')}\n",
        "members.csv, column arm, row 1",
        "'Drug' is an unknown level",
        "'drug'",
    ),
    "no number": (
        f"{HEADER}\n{line(bmi='tall')}\n",
        "members.csv, column bmi, row 1",
        "'tall' is no number",
        "write digits",
    ),
    "underscores": (
        f"{HEADER}\n{line(bmi='1_0')}\n",
        "members.csv, column bmi, row 1",
        "'1_0' is no number",
        "write digits",
    ),
    "decimal comma": (
        f"{HEADER}\n{line()}\n".replace(",", ";").replace("21.5", "21,5"),
        "members.csv, column bmi, row 1",
        "'21,5' is no number",
        "write 21.5 with a point",
    ),
    "infinity": (
        f"{HEADER}\n{line(bmi='inf')}\n",
        "members.csv, column bmi, row 1",
        "'inf' is no finite number",
        "leave the field empty",
    ),
    "overflow": (
        f"{HEADER}\n{line(bmi='1e999')}\n",
        "members.csv, column bmi, row 1",
        "'1e999' is no number",
        "write digits",
    ),
    "half a year": (
        f"{HEADER}\n{line(age='40.5')}\n",
        "members.csv, column age, row 1",
        "'40.5' is no whole number",
        "write digits, as 42",
    ),
    "no boolean": (
        f"{HEADER}\n{line(active='maybe')}\n",
        "members.csv, column active, row 1",
        "'maybe' is no boolean",
        "write true or false",
    ),
    "no date": (
        f"{HEADER}\n{line(onset='01/02/2020')}\n",
        "members.csv, column onset, row 1",
        "'01/02/2020' is no date",
        "write it as 2024-12-31",
    ),
    "no such day": (
        f"{HEADER}\n{line(onset='2021-02-29')}\n",
        "members.csv, column onset, row 1",
        "'2021-02-29' is no date",
        "write it as",
    ),
    "first row, then first column": (
        f"{HEADER}\n{GOOD}\n{line(id='b', bmi='x', ecog='y')}\n{line(id='c', arm='z')}\n",
        "members.csv, column ecog, row 2",
        "'y' is an unknown level",
        "declared",
    ),
    "member twice": (
        f"{HEADER}\n{GOOD}\n{line(id='b')}\n{GOOD}\n",
        "members.csv, column id, row 3",
        "member 'a' has a second row",
        "keep one row",
    ),
    "empty key": (
        f"{HEADER}\n{line(id=' ')}\n",
        "members.csv, column id, row 1",
        "the member's key is empty",
        "fill it in",
    ),
    "no consent column": (
        f"{HEADER}\n{GOOD}\n".replace(",consent", "").replace(",yes\n", "\n"),
        "members.csv, column consent",
        "no consent column, and a study asks for consent to 'als-research'",
        "add a column consent (yes or no) or consent_als_research",
    ),
    "no word of consent": (
        f"{HEADER}\n{GOOD}\n{line(id='b', consent='maybe')}\n",
        "members.csv, column consent, row 2",
        "'maybe' is no consent",
        "write yes or no",
    ),
    "too few fields": (
        f"{HEADER}\n{GOOD}\nb,drug\n",
        "members.csv, line 3",
        "2 fields where the header has 9",
        "quote",
    ),
    "too many fields": (
        f"{HEADER}\n{GOOD},more\n",
        "members.csv, line 2",
        "10 fields where the header has 9",
        "quote",
    ),
    "open quote": (
        f'{HEADER}\n"{GOOD}\n',
        "members.csv, line 2",
        "a quote is not closed",
        "for a quote",
    ),
    "Latin-1": (
        f"{HEADER}\n{line(email='é')}\n".encode("latin-1"),
        "members.csv, line 2",
        "not UTF-8",
        "save the file as UTF-8",
    ),
    "Latin-1 header": (
        f"{HEADER},é\n".encode("latin-1"),
        "members.csv",
        "the header line cannot be read",
        "UTF-8",
    ),
    "empty file": ("", "members.csv", "the file is empty", "header line"),
    "column twice": (
        f"{HEADER},age\n{GOOD},1\n",
        "members.csv, column age",
        "the column stands twice",
        "keep one",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_input_is_one_line_and_the_former_records_stay(
    records: Records, tmp_path: Path, name: str
) -> None:
    data, where, what, instead = BROKEN[name]
    import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n"), **NEEDED)
    before = rows(records), rows(records, "rows:visits"), records.dictionary_digest
    with pytest.raises(BadInput) as refused:
        import_folder(records, DICTIONARY, put(tmp_path, data), **NEEDED)
    assert refused.value.where == where
    assert what in refused.value.what
    assert instead in refused.value.instead
    assert "\n" not in str(refused.value)
    assert (rows(records), rows(records, "rows:visits"), records.dictionary_digest) == before
    shape = CellCounts((), 1, 1)
    found = total(records, shape, Everyone(), purpose="als-research", today=TODAY)
    assert found.tolist() == [1]
    with pytest.raises(BadInput):
        check_folder(records, DICTIONARY, tmp_path, **NEEDED)


def test_a_failure_in_a_later_file_leaves_nothing_of_the_earlier(
    records: Records, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="'x' is no number") as refused:
        import_folder(
            records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n", "id,day,score\na,,1\na,,x\n")
        )
    assert refused.value.where == "visits.csv, column score, row 2"
    assert records.members == 0
    assert records.dictionary_digest is None


def test_a_table_without_its_file_is_named(records: Records, tmp_path: Path) -> None:
    put(tmp_path, f"{HEADER}\n{GOOD}\n")
    (tmp_path / "visits.csv").rename(tmp_path / "Visits.csv")
    with pytest.raises(BadInput, match=r"table visits has no file visits.csv") as refused:
        import_folder(records, DICTIONARY, tmp_path)
    assert refused.value.instead == "is 'Visits.csv' meant?"
    with pytest.raises(BadInput, match="no such folder"):
        check_folder(records, DICTIONARY, tmp_path / "nowhere")


def test_two_files_of_one_table_are_refused(records: Records, tmp_path: Path) -> None:
    put(tmp_path, f"{HEADER}\n{GOOD}\n")
    (tmp_path / "members.parquet").write_bytes(b"")
    with pytest.raises(BadInput, match=r"both members.csv and members.parquet"):
        import_folder(records, DICTIONARY, tmp_path)


def test_the_time_column_must_be_there(records: Records, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="column is missing") as refused:
        import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n", "id,score\na,1\n"))
    assert refused.value.where == "visits.csv, column day"


def test_what_is_tolerated_is_said_locally(records: Records, tmp_path: Path) -> None:
    visits = "id,day,score\n" + "".join(f"a,2024-01-0{9 - i},{i}\n" for i in range(4)) + "b,,99\n"
    put(tmp_path, f"{HEADER},shoe\n{line(age='7')},44\n", visits)
    (tmp_path / "notes.csv").write_text("x\n")
    report = import_folder(records, DICTIONARY, tmp_path)
    assert report.warnings == (
        "notes.csv: no such table is declared; the file is ignored",
        "members.csv: not declared, so not imported: shoe",
        "members.csv, column age: 1 values clamped to 18 to 90",
        "visits.csv, column score: 1 values clamped to 0 to 10",
        "visits.csv: 1 members have more than 2 rows; the first 2 of each are kept, 2 rows are not",
    )
    assert check_folder(records, DICTIONARY, tmp_path) == report.warnings
    kept = [(row["member_ix"], row["visits.score"]) for row in rows(records, "rows:visits")]
    assert sorted(kept) == [(0, 2), (0, 3), (1, 10)]
    assert [row["member"] for row in rows(records)] == ["a", "b"]
    assert "shoe" not in str(rows(records))
    assert "44" not in str(rows(records)[0].values())


def test_importing_again_replaces_everything(records: Records, tmp_path: Path) -> None:
    import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n"))
    again = put(tmp_path, f"{HEADER}\n{line(id='z')}\n", "id,day,score\n")
    import_folder(records, DICTIONARY, again)
    assert [row["member"] for row in rows(records)] == ["z"]
    assert rows(records, "rows:visits") == []
    assert len(set(DICTIONARY.refs)) == 8
    smaller = DICTIONARY.model_copy(update={"tables": DICTIONARY.tables[:1]})
    import_folder(records, smaller, again)
    with records.snapshot() as cursor:
        tables = cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert ("rows:visits",) not in tables
    assert records.dictionary_digest == smaller.digest


def test_records_outlive_their_process_and_print_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.duckdb"
    records = Records.open(path)
    import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n"))
    assert repr(records) == "<Records>"
    records.close()
    records = Records.open(path)
    assert records.members == 1
    assert path.stat().st_mode & 0o077 == 0
    records.close()
    (tmp_path / "other.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(BadInput, match="cannot be opened"):
        Records.open(tmp_path / "other.duckdb")


def parquet(folder: Path, **changes: Any) -> Path:
    columns: dict[str, Any] = {
        "id": pa.array([7, 8, 9]),
        "arm": pa.array(["drug", None, "placebo"]).dictionary_encode(),
        "ecog": pa.array([1.0, None, 2.0]),
        "age": pa.array([40, -9, None], pa.int8()),
        "bmi": pa.array([math.nan, 21.5, -0.0], pa.float32()),
        "onset": pa.array([date(2020, 2, 29), None, date(1900, 1, 1)]),
        "active": pa.array([True, None, False]),
        "email": pa.array(["x", "y", "z"]),
        "consent": pa.array([True, False, None]),
    }
    pq.write_table(pa.table(columns | changes), folder / "members.parquet")
    (folder / "visits.csv").write_text("id,day,score\n7,2024-01-01,1\n")
    return folder


def test_parquet_types_are_taken_as_they_are(records: Records, tmp_path: Path) -> None:
    import_folder(records, DICTIONARY, parquet(tmp_path), **NEEDED)
    first, second, third = rows(records)
    assert [first["member"], second["member"], third["member"]] == ["7", "8", "9"]
    assert [first["members.ecog"], third["members.ecog"]] == [1, 2]
    assert (first["members.bmi"], second["members.bmi"]) == (None, 21.5)
    assert math.copysign(1, third["members.bmi"]) == 1
    assert (second["members.age"], third["members.age"]) == (None, None)
    assert third["members.onset"].startswith("1900-01-01")
    assert [row["members.active"] for row in rows(records)] == [1, None, 0]
    assert [row["consent:all"] for row in rows(records)] == [True, False, False]
    assert rows(records, "rows:visits")[0]["member_ix"] == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"onset": pa.array([datetime(2020, 1, 1, 23, tzinfo=UTC)] * 3)}, "2020-01-01"),
        ({"onset": pa.array([datetime(2020, 1, 1, 23)] * 3)}, "2020-01-01"),  # noqa: DTZ001
        ({"bmi": pa.array([Decimal("21.50")] * 3)}, 21.5),
        ({"bmi": pa.array(["21.5"] * 3)}, 21.5),
        ({"active": pa.array([1, 1, 1])}, 1),
    ],
)
def test_parquet_columns_of_other_types(
    records: Records, tmp_path: Path, changes: dict[str, Any], expected: Any
) -> None:
    import_folder(records, DICTIONARY, parquet(tmp_path, **changes))
    found = rows(records)[0][f"members.{next(iter(changes))}"]
    assert (found[:10] if isinstance(found, str) else found) == expected


@pytest.mark.parametrize(
    ("changes", "column", "what"),
    [
        ({"bmi": pa.array([1.0, math.inf, 2.0])}, "bmi, row 2", "'inf' is no finite number"),
        ({"age": pa.array([1.0, 2.5, 2.0])}, "age, row 2", "'2.5' is no whole number"),
        ({"ecog": pa.array([0.0, 1.0, 9.0])}, "ecog, row 3", "'9' is an unknown level"),
        ({"onset": pa.array(["x", "x", "x"])}, "onset, row 1", "'x' is no date"),
        ({"active": pa.array([1, 2, 3])}, "active, row 2", "'2' is no boolean"),
        ({"id": pa.array([1, None, 2])}, "id, row 2", "key is empty"),
        ({"id": pa.array([1.0, 2.0, 1.0])}, "id, row 3", "member '1' has a second row"),
    ],
)
def test_parquet_values_are_held_to_the_same_rules(
    records: Records, tmp_path: Path, changes: dict[str, Any], column: str, what: str
) -> None:
    with pytest.raises(BadInput) as refused:
        import_folder(records, DICTIONARY, parquet(tmp_path, **changes))
    assert refused.value.where == f"members.parquet, column {column}"
    assert what in refused.value.what


def test_a_file_that_only_has_the_name_of_parquet(records: Records, tmp_path: Path) -> None:
    (parquet(tmp_path) / "members.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadInput, match="not a Parquet file"):
        import_folder(records, DICTIONARY, tmp_path)


def test_a_rare_word_is_no_level_and_never_becomes_one(records: Records, tmp_path: Path) -> None:
    import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{GOOD}\n"))
    with pytest.raises(BadInput, match="unknown level"):
        import_folder(records, DICTIONARY, put(tmp_path, f"{HEADER}\n{line(arm='Ms Jane Doe')}\n"))
    arm = DICTIONARY.resolve("arm")
    assert arm.column.cell_labels == ("drug", "placebo")
    found = total(records, CellCounts((arm,), 1, 1), Everyone(), purpose=None, today=TODAY)
    assert len(found) == 2


def test_folder_names_are_no_wildcards(records: Records, tmp_path: Path) -> None:
    odd = tmp_path / "we[i]r*d 'x'"
    odd.mkdir()
    import_folder(records, DICTIONARY, put(odd, f"{HEADER}\n{GOOD}\n"))
    assert records.members == 1


def test_file_order_holds_for_files_read_in_parallel(records: Records, tmp_path: Path) -> None:
    dictionary = load_dictionary(
        '[tables.t]\nkey="id"\nrows="many"\nmax_rows_per_member=1\n'
        "[tables.t.columns]\nn = { type = 'integer' }\n",
        "dictionary.toml",
    )
    count = 300_000
    body = "".join(f"m{i % 1000},{i}\n" for i in range(count))
    (tmp_path / "t.csv").write_text("id,n\n" + body + "m0,x\n")
    with pytest.raises(BadInput) as refused:
        import_folder(records, dictionary, tmp_path)
    assert refused.value.where == f"t.csv, column n, row {count + 1}"
    (tmp_path / "t.csv").write_text("id,n\n" + body)
    import_folder(records, dictionary, tmp_path)
    assert sorted(row["t.n"] for row in rows(records, "rows:t")) == list(range(1000))
