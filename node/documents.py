"""The signed documents a node goes by, each under its own digest.

Which of them is in force is the ledger's to say (it records digests and decisions); the files
only carry the text that the digests name, so a file changed on disk is a file not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from node.home import write_private
from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.dictionary import Dictionary
from privacy.contract.researcher_key import Successors, ever
from privacy.contract.revocation import Revocation
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import Study
from privacy.contract.study_life import Act, StudyStep, open_step
from privacy.errors import BadInput, Code, Refused, VerificationFailed

F = TypeVar("F", Dictionary, Roster, Study)


class Documents:
    """Reads and writes the documents folder; verifies every signature on the way in and out."""

    def __init__(
        self,
        folder: Path,
        coordinator: Callable[[], PublicKey],
        successors: Callable[[], Successors] = dict,
    ) -> None:
        self._folder = folder
        self._successors = successors
        self._coordinator = coordinator
        self._known: dict[str, Dictionary | Roster | Study] = {}  # immutable: named by digest

    def keep_dictionary(self, dictionary: Dictionary) -> None:
        self._write(f"dictionary-{dictionary.digest}", dictionary.to_json())

    def dictionary(self, digest: str) -> Dictionary:
        """The dictionary of that digest; raises Refused(DICTIONARY_MISMATCH) if there is none."""
        known = self._known.get(digest)
        if isinstance(known, Dictionary):
            return known
        value = self._read(f"dictionary-{digest}", Code.DICTIONARY_MISMATCH)
        return self._remember(_of_digest(Dictionary.from_json(value), digest))

    def keep_roster(self, envelope: Envelope) -> Roster:
        """Keep an offered roster; raises VerificationFailed unless the coordinator signed it."""
        roster = Roster.from_json(envelope.open("roster", self._coordinator()))
        self._write(f"roster-{roster.digest}", envelope.to_json())
        return roster

    def roster(self, digest: str) -> Roster:
        """The roster of that digest; raises Refused(ROSTER_MISMATCH) if there is none."""
        known = self._known.get(digest)
        if isinstance(known, Roster):
            return known
        envelope = Envelope.from_json(self._read(f"roster-{digest}", Code.ROSTER_MISMATCH))
        roster = Roster.from_json(envelope.open_kept("roster", self._coordinator()))
        return self._remember(_of_digest(roster, digest))

    def rosters(self) -> list[Roster]:
        """Every roster ever offered, oldest epoch first."""
        names = [path.stem for path in self._folder.glob("roster-*.json")]
        found = [self.roster(name.removeprefix("roster-")) for name in names]
        return sorted(found, key=lambda roster: roster.epoch)

    def keep_revocation(self, envelope: Envelope) -> Revocation:
        """Keep a list of revoked keys, as signed by the coordinator; raises VerificationFailed."""
        listed = Revocation.from_json(envelope.open("revocation", self._coordinator()))
        self._write(f"revocation-{listed.digest}", envelope.to_json())
        return listed

    def keep_study(self, envelope: Envelope) -> Study:
        """Keep an offered study; raises VerificationFailed unless the coordinator signed it."""
        study = Study.from_json(envelope.open("study", self._coordinator()))
        self._write(f"study-{study.digest}", envelope.to_json())
        return study

    def keep_proposals(self, study: Study, proposals: Sequence[Envelope]) -> None:
        """Keep the signed proposals a study was offered with; raises VerificationFailed.

        Each is signed by one of its investigators, or by the coordinator for them.
        """
        for each in proposals:
            if self._step(each, study).act is not Act.PROPOSE:
                raise VerificationFailed("is no proposal", where=study.id)
        self._write(f"proposals-{study.digest}", [each.to_json() for each in proposals])

    def proposals(self, study: Study) -> list[StudyStep]:
        """The proposals of a study, oldest first; none for one that came without."""
        try:
            kept = self._read(f"proposals-{study.digest}", Code.NOT_FOUND)
        except Refused:
            return []
        found = map(Envelope.from_json, kept)
        return [self._step(each, study, kept=True) for each in found]

    def _step(self, step: Envelope, study: Study, *, kept: bool = False) -> StudyStep:
        keys = ever(study.keys, self._successors())
        return open_step(step, study, self._coordinator(), {}, kept=kept, investigators=keys)

    def keep_offered_key(self, change: CoordinatorKey) -> None:
        """Keep a change of the coordinator's key that a steward has to look at."""
        if self.offered_key() != change:
            self._write("coordinator-key", change.to_json())

    def offered_key(self) -> CoordinatorKey | None:
        """The newest of them; None if there was none."""
        try:
            return CoordinatorKey.from_json(self._read("coordinator-key", Code.NOT_FOUND))
        except (Refused, BadInput):
            return None

    def keep_sign_off(self, envelope: Envelope) -> None:
        """Keep a patient reviewer's statement; which one counts is the ledger's to say."""
        self._write(f"review-{envelope.digest}", envelope.to_json())

    def sign_off(self, statement: str) -> Envelope:
        """The statement of that digest; raises Refused(NOT_FOUND) if there is none."""
        return Envelope.from_json(self._read(f"review-{statement}", Code.NOT_FOUND))

    def study(self, digest: str) -> Study:
        """The study of that digest; raises Refused(UNKNOWN_STUDY) if there is none."""
        known = self._known.get(digest)
        if isinstance(known, Study):
            return known
        envelope = Envelope.from_json(self._read(f"study-{digest}", Code.UNKNOWN_STUDY))
        study = Study.from_json(envelope.open_kept("study", self._coordinator()))
        return self._remember(_of_digest(study, digest))

    def studies(self) -> list[Study]:
        """Every study version ever offered."""
        names = sorted(path.stem for path in self._folder.glob("study-*.json"))
        return [self.study(name.removeprefix("study-")) for name in names]

    def keep_text(self, text: str) -> str:
        """Keep a text that members are asked with; returns its digest."""
        data = text.encode()
        digest = sha256_hex(data)
        write_private(self._folder / f"text-{digest}.txt", data)
        return digest

    def text(self, digest: str) -> str | None:
        """The text of that digest; None if it is not kept here, or was changed."""
        path = self._path(f"text-{digest}").with_suffix(".txt")
        if not path.is_file() or sha256_hex(path.read_bytes()) != digest:
            return None
        return path.read_text("utf-8")

    def keep_lay_result(self, release: str, text: str) -> None:
        """Keep what a release found, in plain words for members."""
        path = self._path(f"lay-{release}").with_suffix(".txt")
        write_private(path, text.encode())

    def lay_result(self, release: str) -> str | None:
        """What a release found in plain words; None if nothing was written."""
        path = self._path(f"lay-{release}").with_suffix(".txt")
        return path.read_text("utf-8") if path.is_file() else None

    def _remember(self, fact: F) -> F:
        self._known[fact.digest] = fact
        return fact

    def _path(self, name: str) -> Path:
        if not name.replace("-", "").isalnum():
            raise BadInput("not a document's name")
        return self._folder / f"{name}.json"

    def _read(self, name: str, missing: Code) -> Any:
        try:
            return parse_canonical(self._path(name).read_bytes())
        except FileNotFoundError:
            raise Refused(missing) from None

    def _write(self, name: str, value: Any) -> None:
        write_private(self._path(name), canonical_bytes(value))


def _of_digest(fact: F, digest: str) -> F:
    if fact.digest != digest:
        raise BadInput("a document was changed on disk", where=digest)
    return fact
