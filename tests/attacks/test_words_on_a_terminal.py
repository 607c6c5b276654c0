"""What a steward reads before signing is what is signed, whatever others wrote into it."""

from __future__ import annotations

import json

import pytest

from node.signing_text import ToSign
from node.study_cli import show
from privacy.contract.shown import printable

DIGEST = "0" * 64
TRICKS = {
    "over the line above": "fine\x1b[3A\r\x1b[2Kdo: refused\x1b[3B",
    "another line": "fine\ndo: refused",
    "a line of its own": "fine\u2028do: refused",
    "turned around": "\u202edesufer :od",
    "an eight-bit escape": "\x9b2Kdo: refused",
    "nothing to see": "\u200bfine\x00",
}


def _wrote(word: dict[str, object], node: str = "clinic") -> list[str]:
    return ToSign.parse(ToSign(node, "test", dict(word)).text).lines


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_no_text_hides_what_is_done(trick: str) -> None:
    lines = _wrote({"do": "approved", "study": DIGEST, "reason": trick, trick: "x"}, node=trick)
    assert all(line.isprintable() for line in lines)
    assert "do: approved" in lines
    assert "do: refused" not in lines


def test_what_is_done_stands_next_to_the_question_however_long_the_rest() -> None:
    word = {"do": "approved", "study": DIGEST, "reason": "long " * 800, "zone": "z" * 4000}
    ends = [line.partition(":")[0] for line in _wrote(word)[-3:]]
    assert ends == ["do", "network", "organisation"]


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_data_on_a_terminal_is_the_same_data(
    trick: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show([{"title": trick, "name": "Žofia Ångström 李"}])
    said = capsys.readouterr().out
    assert json.loads(said) == [{"title": trick, "name": "Žofia Ångström 李"}]
    assert all(line.isprintable() for line in said.split("\n"))
    assert "Žofia Ångström 李" in said


def test_what_can_be_read_stays_as_it_is() -> None:
    assert printable('"Ätiologie" – \\n, 100 %') == '"Ätiologie" – \\n, 100 %'
    assert printable("\U000e0041\ud800") == "\\udb40\\udc41\\ud800"
