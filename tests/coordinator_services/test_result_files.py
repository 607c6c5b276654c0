"""A result as a file and as a few sentences."""

from __future__ import annotations

import ast
import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from coordinator.client import BadInput
from coordinator.client.result import Result
from coordinator.client.summary import numbers_of, summary
from deploy.in_process import example_study
from models.result import NO_INFORMATION, Estimate
from models.result import Result as Answer
from tests.support.seeded import seeded_entropy


@pytest.fixture(scope="module")
def result() -> Result:
    study = example_study(entropy=seeded_entropy("files"))
    found = study.count(by="treatment").run(epsilon=1)
    return replace(found, mock=False, release="sha256:beef")


def test_a_csv_file_holds_the_table_its_notes_and_the_release(
    result: Result, tmp_path: Path
) -> None:
    result.save(tmp_path / "r.csv")
    head = [line for line in (tmp_path / "r.csv").read_text("utf-8").splitlines() if line[0] == "#"]
    assert head[0] == f"# {result.asked.sentence}"
    assert "release sha256:beef" in head[1]
    assert all(f"# {note}" in head for note in result.answer.notes)
    back = pd.read_csv(tmp_path / "r.csv", comment="#")
    pd.testing.assert_frame_equal(back, result.table)


def test_words_of_a_dictionary_compute_nothing_in_a_csv_file(
    result: Result, tmp_path: Path
) -> None:
    rows = [
        replace(row, cell=(word,))
        for row, word in zip(result.answer.rows, ("=1+1", "-other", "@b", "+c"), strict=False)
    ]
    evil = replace(result, answer=replace(result.answer, rows=tuple(rows)))
    evil.save(tmp_path / "r.csv")
    back = pd.read_csv(tmp_path / "r.csv", comment="#")
    assert list(back["treatment"]) == ["'" + row.cell[0] for row in rows]
    pd.testing.assert_frame_equal(
        back.drop(columns="treatment"), evil.table.drop(columns="treatment")
    )


def test_a_parquet_file_holds_the_same_with_everything_beside_it(
    result: Result, tmp_path: Path
) -> None:
    result.save(str(tmp_path / "r.parquet"))
    read = pq.read_table(tmp_path / "r.parquet")
    pd.testing.assert_frame_equal(read.to_pandas(), result.table)
    assert json.loads(read.schema.metadata[b"cairn"]) == result.to_json()


def test_a_json_file_is_to_json(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "r.JSON")
    assert json.loads((tmp_path / "r.JSON").read_text("utf-8")) == result.to_json()


def test_a_notebook_holds_the_numbers_and_runs(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "r.ipynb")
    book = json.loads((tmp_path / "r.ipynb").read_text("utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    codes = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    for code in codes:
        ast.parse(code)
    said: dict[str, object] = {}
    exec(codes[0], said)  # noqa: S102
    read = said["table"]
    assert isinstance(read, pd.DataFrame)
    pd.testing.assert_frame_equal(read, result.table)
    texts = "".join("".join(cell["source"]) for cell in book["cells"])
    assert result.methods() in texts
    assert repr(result.release) in texts
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])


def test_a_script_in_r_holds_the_numbers(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "r.R")
    text = (tmp_path / "r.R").read_text("utf-8")
    rows = [line[3:].rstrip(",")[:-1] for line in text.splitlines() if line.startswith('  "')]
    table = "\n".join(row.replace('\\"', '"').replace("\\\\", "\\") for row in rows)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(table)), result.table)
    commented = [line for line in text.splitlines() if line.startswith("# ")]
    assert commented[0] == f"# {result.asked.sentence}"


def test_another_ending_is_refused(result: Result, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no form for this ending"):
        result.save(tmp_path / "r.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_numbers_have_the_digits_that_their_error_supports() -> None:
    row = Estimate((), 420.0859, 0.0, 9.6, 401.248, 438.924)
    assert numbers_of(row) == "420 (401 to 439)"
    assert numbers_of(Estimate((), 0.666593, 0.011, 0.009, 0.6383, 0.6945), percent=True) == (
        "66.7 % (63.8 to 69.5 %)"
    )
    assert numbers_of(Estimate((), -0.1, 0.0, 5.5, -10.9, 10.7)) == "0 (-11 to 11)"
    assert numbers_of(Estimate((), 3.0, 0.0, 0.0, 3.0, 3.0)) == "3"


def told(kind: str, by: tuple[str, ...], *rows: Estimate, unit: str = "") -> str:
    return summary(Answer(kind, by, rows, unit=unit), "Asks", mock=False)


def test_a_summary_says_what_its_numbers_are() -> None:
    row = Estimate(("a_b",), 420.0, 0.0, 9.6, 401.0, 439.0)
    assert told("count", ("x",), row, unit="members") == (
        "Asks. In members, with 95 % intervals: a b 420 (401 to 439)."
    )
    ratio = Estimate(("odds ratio", "sex", "m", "age", "[1, 2)"), 0.0469, 0.02, 0.01, 0.0017, 0.1)
    p_value = Estimate(("p-value", "sex", "m", "age", "[1, 2)"), 1e-9, 0, 0, 1e-9, 1e-9)
    by = ("figure", "exposure", "exposed", "outcome", "happened")
    assert told("associations", by, ratio, p_value) == (
        "Asks. Odds ratio, with 95 % intervals: sex m with age [1, 2): 0.0469 (0.0017 to 0.1). "
        "1 more figure is in the table."
    )


def test_a_summary_names_pairs_that_stand_out_first() -> None:
    by = ("figure", "drug", "event")
    rows = [
        Estimate(("reporting odds ratio", "a", "x"), 9.0, 1, 1, 0.5, 90.0),
        Estimate(("reporting odds ratio", "b", "x"), 2.0, 1, 1, 1.5, 3.0, "signal"),
        Estimate(("reporting odds ratio", "c", "x"), 8.0, 1, 1, 4.0, 16.0, "signal"),
        Estimate(("reporting odds ratio", "d", "x"), 1.0, 0, 0, 1e-300, 1e300, NO_INFORMATION),
    ]
    said = told("disproportionality", by, *rows)
    assert [said.index(name) for name in ("c with", "b with", "a with", "d with")] == sorted(
        said.index(name) for name in ("c with", "b with", "a with", "d with")
    )
    assert "d with x: no information" in said
