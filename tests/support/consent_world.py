"""A few members at a node's records, and what the files and they said, in plain Python.

The oracle reads all words from the beginning each time; it shares no code with the columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from models.cohort.expression import Everyone
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from node.engine import total
from node.importer import import_folder
from node.records import Records
from privacy.contract.consent import ConsentState
from privacy.contract.duo import Research, Terms, Use, permits

DICTIONARY = load_dictionary(
    '[tables.people]\nkey = "who"\nrows = "one"\n[tables.people.columns]\nn.type = "number"\n',
    "dictionary.toml",
)
MEMBERS = ("a", "b", "c")
START = date(2026, 3, 1)
HEALTH = Use(study="a", research=Research.HEALTH, for_profit=True, commercial=True)
PURPOSES = ("research", "teaching")


@dataclass(frozen=True)
class Said:
    """One word, in the files or at the node."""

    member: str
    purpose: str
    state: ConsentState
    until: date | None = None
    terms: Terms | None = None

    def holds(self, today: date, use: Use) -> bool:
        given = self.state is ConsentState.GIVEN
        in_time = self.until is None or today <= self.until
        return given and in_time and (self.terms is None or permits(self.terms, use) is None)


@dataclass
class Oracle:
    """What the files say, and what was said at the node since the beginning."""

    files: list[Said] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    imported: int = 0  # how many words had been said when files were imported last

    def holds(self, member: str, purpose: str, today: date, use: Use) -> bool:
        word = self._speaks(member, purpose)
        return word is not None and word.holds(today, use)

    def _speaks(self, member: str, purpose: str) -> Said | None:
        """The word that counts: the newest since the import, else a refusal before it, else the
        files'."""
        before = [w for w in self.said[: self.imported] if w.member == member]
        after = [w for w in self.said[self.imported :] if w.member == member]
        own, general = _last(self.files, member, purpose), _last(self.files, member, "all")
        standing = {"own": own, "all": general}
        ended = max(
            (i for i, w in enumerate(before) if w.purpose == "all" and _ends(w)), default=-1
        )
        own_said = [w for i, w in enumerate(before) if w.purpose == purpose and i > ended]
        all_said = [w for w in before if w.purpose == "all"]
        if own_said:
            if _ends(own_said[-1]):
                standing = {"own": own_said[-1], "all": standing["all"]}
        elif all_said and _ends(all_said[-1]):
            standing = {"own": None, "all": all_said[-1]}
        for word in after:
            if word.purpose == "all":
                standing = {"own": None if _ends(word) else standing["own"], "all": word}
            elif word.purpose == purpose:
                standing["own"] = word
        return standing["own"] or standing["all"]


def _ends(word: Said) -> bool:
    return word.state is not ConsentState.GIVEN


def _last(words: list[Said], member: str, purpose: str) -> Said | None:
    found = [w for w in words if (w.member, w.purpose) == (member, purpose)]
    return found[-1] if found else None


def counted(records: Records, purpose: str, today: date, use: Use) -> int:
    """How many members the engine counts."""
    found = total(
        records,
        CellCounts((), 1, 1),
        Everyone(),
        purpose=purpose,
        today=today,
        use=use,
    )
    return int(found[0])


def load(records: Records, folder: Path, people: str = "", events: str = "") -> None:
    """Import people a, b, c (or as given) and the rows of a consent file."""
    rows = people or "who,n\n" + "".join(f"{who},1\n" for who in MEMBERS)
    (folder / "people.csv").write_text(rows)
    (folder / "consent.csv").unlink(missing_ok=True)
    if events:
        (folder / "consent.csv").write_text(events)
    import_folder(records, DICTIONARY, folder, at="2026-03-01T00:00:00Z")
