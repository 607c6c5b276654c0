"""What a folder for `python -m deploy.local` holds, read and checked before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from coordinator.study_file import PolicyDraft, StudyFile, load_study_file
from models.dictionary_file import load_dictionary
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from privacy.secure_sum.attempt import fewest_nodes

FEWEST_ORGANISATIONS = 3
DATA_ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True)
class Organisation:
    """One folder of files: an organisation with its own node."""

    id: str
    name: str
    folder: Path


@dataclass(frozen=True)
class Layout:
    """A checked folder: dictionary, studies and organisations."""

    dictionary: Dictionary
    studies: StudyFile
    organisations: tuple[Organisation, ...]


def read_layout(root: Path, today: date) -> Layout:
    """Read DIR; raises BadInput with one line for the first thing that is wrong."""
    if not root.is_dir():
        raise BadInput("not a folder", where=str(root))
    dictionary = load_dictionary(_text(root, "dictionary.toml"), "dictionary.toml")
    studies = load_study_file(_text(root, "study.toml"), "study.toml", today)
    organisations = _organisations(root)
    if len(organisations) < FEWEST_ORGANISATIONS:
        raise BadInput(
            f"{len(organisations)} folders with data",
            where=str(root),
            instead="a network has at least three organisations, one folder of CSV or Parquet "
            "files each",
        )
    _check_margin(studies.policy, len(organisations))
    return Layout(dictionary, studies, organisations)


def _check_margin(policy: PolicyDraft, organisations: int) -> None:
    needed = fewest_nodes(policy.t_drop, policy.t_collude)
    if organisations < needed:
        raise BadInput(
            f"t_drop = {policy.t_drop} with t_collude = {policy.t_collude} needs {needed} "
            f"organisations, here are {organisations}",
            where="study.toml, [policy]",
            instead="lower them, or add organisations",
        )


def _text(root: Path, name: str) -> str:
    try:
        return (root / name).read_text("utf-8-sig")
    except FileNotFoundError:
        raise BadInput("missing", where=str(root / name)) from None
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read as UTF-8 text", where=str(root / name)) from None


def _organisations(root: Path) -> tuple[Organisation, ...]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and _holds_data(path))
    found = tuple(Organisation(_id(path.name), path.name, path) for path in folders)
    for one in found:
        twins = [other.name for other in found if other.id == one.id]
        if len(twins) > 1:
            raise BadInput(
                "folders with names that differ only in letters other than a-z and digits",
                where=", ".join(twins),
            )
    return tuple(sorted(found, key=lambda one: one.id))


def _holds_data(folder: Path) -> bool:
    if folder.name.startswith((".", "_")):
        return False
    return any(path.suffix.lower() in DATA_ENDINGS for path in folder.iterdir())


def _id(name: str) -> str:
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    if not cleaned:
        raise BadInput("a folder's name has no letter or digit", where=name)
    return cleaned
