"""Words of others in terminals and spreadsheets: they neither move a cursor nor compute."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.output import Format, say, show, show_json
from privacy.contract.shown import as_cell, of_cell, printable_lines

EVIL = "\x1b[2J\x1b]0;owned\x07\u202etitle"
FORMULAS = ('=HYPERLINK("http://x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1")
NUMBERS = ("-5", "+5", "-.5", "-5.25e-3", "1e9")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_word(text: str) -> None:
    assert as_cell(text) == "'" + text
    assert of_cell(as_cell(text)) == text


@pytest.mark.parametrize("text", [*NUMBERS, "", "ALS", "a=b", "0 to 5"])
def test_numbers_and_plain_words_stay(text: str) -> None:
    assert as_cell(text) == text


@given(st.text(alphabet="=+-@\t\r'a1. "))
def test_what_was_written_is_read_back(text: str) -> None:
    written = as_cell(text)
    assert of_cell(written) == text
    if written[:1] in set("=+-@\t\r"):
        float(written)


@pytest.mark.parametrize("cell", ["'s-Gravenhage", "'", "plain", "''"])
def test_cells_that_others_wrote_stay_unless_they_are_marked(cell: str) -> None:
    assert of_cell(cell) == (cell if cell != "''" else "'")


@pytest.mark.parametrize("form", [Format.TABLE, Format.JSON])
def test_a_title_moves_no_cursor(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    show([{"title": EVIL, "n": -5}], ["title", "n"], form)
    show_json({"title": EVIL})
    say(f"one\n{EVIL}")
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.splitlines())
    assert said.splitlines()[-2] == "one"


def test_json_keeps_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"title": EVIL})
    assert json.loads(capsys.readouterr().out) == {"title": EVIL}
    assert printable_lines("a\nb") == "a\nb"


def test_a_csv_of_the_command_line_computes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = FORMULAS[:-1]  # the capture turns a carriage return into a line
    rows = [{"word": text, "n": -5} for text in words]
    show(rows, ["word", "n"], Format.CSV)
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [row["word"][0] for row in read] == ["'"] * len(words)
    assert {row["n"] for row in read} == {"-5"}
