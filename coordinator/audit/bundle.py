"""The audit bundle: a folder from which the whole network can be checked offline.

    manifest.json                 every file with its SHA-256, and each ledger's cosigners; signed
    network.json                  rosters, dictionaries, studies, revoked keys, own key, delta,
                                  auditors' keys
    steps.jsonl                   every signed step in the life of a study, sign-offs with them
    log/lines.jsonl               the coordinator's own log, a line for each statement
    log/checkpoint.txt            its newest signed head
    log/witnesses.jsonl           heads of it that nodes and auditors hold or cosigned
    nodes/NODE/entries.jsonl      one canonical ledger entry on each line
    nodes/NODE/checkpoint.txt     the newest checkpoint the node signed over them
    nodes/NODE/witnesses.jsonl    checkpoints of this ledger that others hold or cosigned
    plans/DIGEST.json             every signed plan
    releases/DIGEST.json          every signed release
    transcripts/DIGEST.json       what recomputes the total of one round, named in the release
    states/DIGEST.bin             what nodes were told before a round, named in the release
    linkages/DIGEST.json          every signed linkage session, with what its nodes signed

The manifest names every file and every cosigner exactly: nothing can be added to a bundle,
and nothing left out, without its signature failing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from coordinator.audit.bundle_facts import (
    BundleFacts,
    Held,
    LedgerFacts,
    LinkageEvidence,
    LogFacts,
    ReleaseFacts,
)
from coordinator.audit.key_chain import chained
from coordinator.audit.meter import Meter, Progress, silent
from privacy.checkpoint import LOG, Checkpoint, note_text
from privacy.contract.canonical import canonical_bytes, parse_canonical, rational
from privacy.contract.coordinator_key import CoordinatorKey, parse_changes
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.entry import MAX_ENTRY_BYTES
from privacy.log import LogEntry, Logged

FORMAT = "cairn-audit-bundle/1"
MANIFEST_KIND = "audit-bundle"
MANIFEST = "manifest.json"
NETWORK = "network.json"
STEPS = "steps.jsonl"
LOG_FOLDER = "log"
LOG_LINES = f"{LOG_FOLDER}/lines.jsonl"
MAX_FILE_BYTES = 2**31
MAX_LINE_BYTES = MAX_ENTRY_BYTES + 2  # one more than an entry and its newline

_NODE = r"[a-z0-9][a-z0-9-]{0,62}"
_DIGEST = r"[0-9a-f]{64}"
_LAYOUT = re.compile(
    r"manifest\.json|network\.json|steps\.jsonl"
    rf"|(plans|releases|transcripts|linkages)/{_DIGEST}\.json"
    rf"|states/{_DIGEST}\.bin"
    rf"|nodes/{_NODE}/(entries\.jsonl|checkpoint\.txt|witnesses\.jsonl)"
    r"|log/(lines\.jsonl|checkpoint\.txt|witnesses\.jsonl)"
)


@dataclass
class _Writer:
    """Writes files below one folder and remembers their hashes."""

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        check_name(name)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        running = hashlib.sha256()
        with path.open("xb") as file:
            for part in parts:
                running.update(part)
                file.write(part)
        self.hashes[name] = running.hexdigest()

    def write_once(self, pattern: str, data: bytes) -> None:
        """Write a file named by its own hash, unless it is there."""
        name = pattern.format(hashlib.sha256(data).hexdigest())
        if name not in self.hashes:
            self.write(name, [data])


def write_bundle(folder: Path, facts: BundleFacts, key: SigningKey, made_at: datetime) -> None:
    """Write the bundle into `folder`, new or empty, and sign its manifest with `key`.

    Raises BadInput if the folder holds anything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadInput("the folder is not empty", where=str(folder), instead="name a new folder")
    writer = _Writer(folder)
    writer.write(NETWORK, [canonical_bytes(_network(facts, key.public))])
    cosigners = {ledger.node: _write_ledger(writer, ledger) for ledger in facts.ledgers}
    cosigners[LOG] = _write_log(writer, facts.log)
    writer.write(STEPS, (step.to_bytes() + b"\n" for step in facts.steps))
    for plan in facts.plans:
        writer.write(f"plans/{plan.digest}.json", [plan.to_bytes()])
    for release in facts.releases:
        _write_release(writer, release)
    for linkage in facts.linkages:
        _write_linkage(writer, linkage)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "network": facts.network,
        "made_at": instant_text(made_at),
        "files": dict(sorted(writer.hashes.items())),
        "cosigners": cosigners,
        "settled": facts.log.settled,
    }
    envelope = Envelope.seal(MANIFEST_KIND, manifest, key)
    (folder / MANIFEST).write_bytes(canonical_bytes(envelope.to_json()))


def _network(facts: BundleFacts, key: PublicKey) -> dict[str, Any]:
    return {
        "network": facts.network,
        "rosters": [roster.to_json() for roster in facts.rosters],
        "dictionaries": [dictionary.to_json() for dictionary in facts.dictionaries],
        "studies": [study.to_json() for study in facts.studies],
        "revocations": [listed.to_json() for listed in facts.revocations],
        "auditors": {name: each.text for name, each in sorted(facts.auditors.items())},
        "coordinator": key.text,
        "key_changes": [each.to_json() for each in facts.key_changes],
        "researcher_keys": [each.to_json() for each in facts.researcher_keys],
        "delta": rational(facts.delta),
    }


def _write_ledger(writer: _Writer, ledger: LedgerFacts) -> list[str]:
    place = f"nodes/{ledger.node}"
    return _write_tree(writer, place, "entries", ledger.lines, ledger.checkpoint, ledger.held)


def _write_log(writer: _Writer, log: LogFacts) -> list[str]:
    return _write_tree(writer, LOG_FOLDER, "lines", log.lines, log.checkpoint, log.held)


def _write_tree(
    writer: _Writer,
    place: str,
    name: str,
    lines: Iterable[bytes],
    checkpoint: str,
    held: tuple[Held, ...],
) -> list[str]:
    """Write what a checkpoint covers, it, and what others hold; returns who cosigned."""
    covered = Checkpoint.parse(note_text(checkpoint)).size
    writer.write(f"{place}/{name}.jsonl", (line + b"\n" for line in islice(lines, covered)))
    writer.write(f"{place}/checkpoint.txt", [checkpoint.encode()])
    writer.write(f"{place}/witnesses.jsonl", (_held_line(each) for each in held))
    return sorted({each.by for each in held if each.cosignature is not None})


def _held_line(held: Held) -> bytes:
    row = {"by": held.by, "checkpoint": held.checkpoint, "cosignature": held.cosignature}
    return canonical_bytes(row) + b"\n"


def _write_release(writer: _Writer, release: ReleaseFacts) -> None:
    writer.write(
        f"releases/{release.envelope.digest}.json",
        [canonical_bytes(release.envelope.to_json())],
    )
    for transcript in release.transcripts:
        writer.write_once("transcripts/{}.json", transcript)
    for state in release.states:
        if state:
            writer.write_once("states/{}.bin", state)


def _write_linkage(writer: _Writer, linkage: LinkageEvidence) -> None:
    said = {
        "session": linkage.envelope.to_json(),
        "transcript": parse_canonical(linkage.transcript) if linkage.transcript else None,
        "learnt": [each.to_json() for each in linkage.learnt],
    }
    writer.write(f"linkages/{linkage.envelope.digest}.json", [canonical_bytes(said)])


def check_name(name: str) -> None:
    """Raise BadInput unless `name` is a path that a bundle may hold."""
    if not _LAYOUT.fullmatch(name):
        raise BadInput(f"{name!r} is not a file of an audit bundle")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest's signature holds and whose files are exactly those it names."""

    folder: Path
    network: str
    made_at: str
    coordinator: PublicKey
    files: dict[str, str]
    cosigners: dict[str, list[str]]
    settled: int
    meter: Meter
    changes: tuple[CoordinatorKey, ...] = ()

    @cached_property
    def _places(self) -> dict[tuple[Logged, str], int]:
        """The line of the log on which each statement stands first."""
        places: dict[tuple[Logged, str], int] = {}
        with (self.folder / LOG_LINES).open("rb") as file:
            for number, line in enumerate(file):
                try:
                    entry = LogEntry.from_bytes(line.rstrip(b"\n"))
                except BadInput:
                    break  # the log itself is read later, and names the line
                places.setdefault((entry.kind, entry.statement), number)
        return places

    def place(self, kind: Logged, digest: str) -> int | None:
        """The line of the log on which a statement stands first; None where it does not."""
        return self._places.get((kind, digest))

    def signer(self, kind: Logged, digest: str) -> PublicKey:
        """The coordinator's key in force where a statement stands in its log."""
        if not self.changes:
            return self.coordinator
        place = self.place(kind, digest)
        return PublicKey(self.coordinator.raw) if place is None else self.coordinator.at(place)

    @property
    def nodes(self) -> list[str]:
        """The nodes whose ledgers it holds."""
        return sorted(self.cosigners.keys() - {LOG})

    def read(self, name: str) -> bytes:
        """One file's bytes; raises VerificationFailed unless they are what was signed."""
        data = (self.folder / name).read_bytes()
        self.meter.count(name, len(data))
        if hashlib.sha256(data).hexdigest() != self.files[name]:
            raise VerificationFailed("is not the file that the manifest signed", where=name)
        return data

    def json(self, name: str) -> Any:
        """One canonical JSON file."""
        try:
            return parse_canonical(self.read(name), max_bytes=MAX_FILE_BYTES)
        except BadInput as error:
            raise VerificationFailed(str(error), where=name) from None

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file without their newline, unchecked against the manifest.

        Raises VerificationFailed for a line that is not ended or too long to be an entry.
        """
        with (self.folder / name).open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise VerificationFailed("is cut off or too long", where=f"entry {number}")
                number += 1
                self.meter.count(name, len(line))
                yield line[:-1]

    def named(self, folder: str) -> list[str]:
        """Digests of the files below `folder`."""
        prefix = f"{folder}/"
        return [
            name.removeprefix(prefix).partition(".")[0]
            for name in self.files
            if name.startswith(prefix)
        ]


def open_bundle(folder: Path, coordinator: PublicKey | None, progress: Progress = silent) -> Bundle:
    """Check the manifest and the list of files. Contents are checked when they are read.

    `coordinator` is the key pinned out of band; without one, the key named in the manifest is
    taken at its word. Raises BadInput if there is no bundle, VerificationFailed otherwise.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInput("there is no audit bundle", where=str(folder), instead="name its folder")
    try:
        value = parse_canonical(path.read_bytes(), max_bytes=MAX_FILE_BYTES)
        envelope = Envelope.from_json(value)
        if envelope.kind != MANIFEST_KIND:
            raise BadInput("not a manifest")
        envelope.key.verify(MANIFEST_KIND, envelope.body, envelope.signature)
        bundle = _bundle(folder, envelope.key, value["body"], progress)
    except BadInput as error:
        raise VerificationFailed(str(error), where=MANIFEST) from None
    except VerificationFailed as error:
        raise VerificationFailed(error.what, where=MANIFEST) from None
    _check_files(bundle)
    bundle = _keyed(bundle, coordinator)
    bundle.meter.total = sum(_read_bytes(folder / name) for name in bundle.files)
    return bundle


def _keyed(bundle: Bundle, pinned: PublicKey | None) -> Bundle:
    """The bundle with its coordinator's keys, of which the newest signed the manifest."""
    data = (bundle.folder / NETWORK).read_bytes()
    if hashlib.sha256(data).hexdigest() != bundle.files[NETWORK]:
        raise VerificationFailed("is not the file that the manifest signed", where=NETWORK)
    try:
        value = parse_canonical(data, max_bytes=MAX_FILE_BYTES)
        said = value.get("key_changes") if isinstance(value, dict) else None
        changes = parse_changes(said)
    except BadInput as error:
        raise VerificationFailed(str(error), where=NETWORK) from None
    try:
        key = chained(changes, bundle.coordinator, pinned, bundle.network)
    except VerificationFailed as error:
        raise VerificationFailed(error.what, where=MANIFEST) from None
    return replace(bundle, coordinator=key, changes=changes)


def _read_bytes(path: Path) -> int:
    """How much of a file is read: one that has lines is read twice, by line and whole."""
    return path.stat().st_size * (2 if path.suffix == ".jsonl" else 1)


def _bundle(folder: Path, key: PublicKey, body: Any, progress: Progress) -> Bundle:
    match body:
        case {
            "format": str(version),
            "network": str(network),
            "made_at": str(made_at),
            "files": dict(files),
            "cosigners": dict(cosigners),
            "settled": int(settled),
        } if len(body) == 6 and version == FORMAT:
            pass
        case _:
            raise BadInput("not the manifest of an audit bundle")
    for name, digest in files.items():
        check_name(name)
        if not isinstance(digest, str):
            raise BadInput("a digest is not text")
    nodes = {name.split("/")[1] for name in files if name.startswith("nodes/")}
    if nodes | {LOG} != set(cosigners) or not all(
        isinstance(by, list) for by in cosigners.values()
    ):
        raise BadInput("cosigners are not named for every ledger")
    return Bundle(folder, network, made_at, key, files, cosigners, settled, Meter(progress, 0))


def _check_files(bundle: Bundle) -> None:
    found = set()
    for path in sorted(bundle.folder.rglob("*")):
        name = path.relative_to(bundle.folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise VerificationFailed("is not a plain file", where=name)
        if path.is_file() and name != MANIFEST:
            found.add(name)
    needed = set(bundle.files) | {NETWORK, STEPS}
    needed |= {
        f"{LOG_FOLDER}/{name}" for name in ("lines.jsonl", "checkpoint.txt", "witnesses.jsonl")
    }
    for node in bundle.nodes:
        files = ("entries.jsonl", "checkpoint.txt", "witnesses.jsonl")
        needed |= {f"nodes/{node}/{name}" for name in files}
    for name in sorted(needed - found):
        raise VerificationFailed("is missing", where=name)
    for name in sorted(found - set(bundle.files)):
        raise VerificationFailed("is not in the manifest", where=name)
