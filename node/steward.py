"""What an organisation's steward can do and see. The console, the API and the command line
all come through here; nothing in here is ever sent to the coordinator.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from node.checklist import checklist
from node.consent import consent_counts, consent_of, set_consent
from node.consent_files import read_words, record_words, write_words
from node.consent_history import Note
from node.consent_table import open_table
from node.erasure import erase_member
from node.evidence_desk import EvidenceDesk, amount
from node.import_progress import Told, silent
from node.importer import check_folder, import_folder
from node.inbox_desk import InboxDesk
from node.link_gate import fields_of
from node.linkage_records import linked_numbers, opted_in, persons
from node.linking_desk import LinkingDesk
from node.member.links import MemberLinks
from node.one_of import one_of
from node.scoring import read_model, score
from node.setup import confirm_roster, year_from
from node.software import OPTIONAL
from node.upkeep_desk import UpkeepDesk
from privacy.contract.consent import ConsentState
from privacy.contract.duo_text import parse_terms
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import BadInput
from privacy.ledger.entry import ConsentText, Entry, Paused, Released, Resumed
from privacy.ledger.link_entry import LinkBegun
from privacy.ledger.steward_entry import PeriodOpened, Signed
from privacy.promise import Promise
from privacy.units import Rho

LINK_DAYS = 14
_NOTHING: Mapping[str, str] = {}
_WORDS_LOST = (
    "the former records were older than this node had known: what members said here since then "
    "is lost, so record their refusals and withdrawals again"
)


@dataclass(frozen=True)
class Steward(UpkeepDesk, EvidenceDesk, InboxDesk, LinkingDesk):
    """Operations on one node, running or not. `by` is the name that goes into the ledger."""

    # home

    def status(self) -> dict[str, Any]:
        """How the node is, in words and figures of public meaning; members stay a local figure."""
        service = self.parts.service
        state = service.ledger.state
        return {
            "node": service.node,
            "name": self.parts.settings.name,
            "state": self._word(),
            "last_contact": _instant(service.last_contact),
            "members": self.parts.records.members,
            "dictionary": state.dictionary,
            "roster": state.roster,
            "coordinator": self.coordinator(),
            "ledger_entries": service.ledger.size,
            "budget": self.budget(),
            "studies_approved": len(state.approvals),
            "backed_up": state.backed_up or None,
            "next": [s.to_json() for s in checklist(self.parts) if not s.done][:3],
            "stopped": self.stops(),
            "software": {name: name in service.software for name in OPTIONAL},
        }

    def _word(self) -> str:
        service = self.parts.service
        if service.ledger.state.leaving:
            return service.ledger.state.leaving
        if service.ledger.state.paused:
            return "paused"
        if service.ledger.restored is not None:
            return "restored: waits for what its ledger said since"
        if service.witnessing.stopped:
            return "ledger set back: see what is stopped, then recover"
        if service.ledger.state.halted:
            what = "key has two successors" if service.ledger.state.forked else "log broke"
            return f"the coordinator's {what}: see what is stopped"
        if self.parts.guard.set_back:
            return "records set back: import again"
        if self.parts.guard.unpublished:
            return "records not published: see that the engine runs, then publish"
        return "running" if service.witnessing.done else "waiting for peers"

    def promise(self) -> dict[str, Any]:
        """What members are promised, in words, epsilon and odds; BadInput without a policy."""
        found = Promise.of(self.parts.service.ledger.state)
        if found is None:
            raise BadInput("there is no policy, so nothing is promised")
        return found.to_json()

    def console(self) -> str:
        """The path of a link to the console; raises BadInput, as nobody serves pages here."""
        raise BadInput("the node does not run", where="console", instead="cairn-node start")

    def pause(self) -> None:
        """From now on nothing is reserved or charged, so nothing leaves."""
        self.parts.service.ledger.append(Paused(by=self.by))

    def resume(self) -> None:
        self.parts.service.ledger.append(Resumed(by=self.by))

    # data and consent

    def import_data(self, folder: Path, told: Told = silent) -> dict[str, Any]:
        """Replace all records by the folder's files, or change nothing and say why."""
        report = import_folder(
            self.parts.records,
            self.parts.service.dictionary(),
            folder,
            consent_purposes=self._consent_purposes(),
            at=instant_text(self.parts.service.clock()),
            told=told,
        )
        lost = [_WORDS_LOST] if self.parts.guard.imported() else []
        return {
            "members": report.members,
            "rows": dict(report.rows),
            "warnings": [*lost, *report.warnings],
        }

    def check_data(self, folder: Path) -> dict[str, Any]:
        """What an import would say, without changing anything."""
        warnings = check_folder(
            self.parts.records,
            self.parts.service.dictionary(),
            folder,
            consent_purposes=self._consent_purposes(),
        )
        return {"warnings": list(warnings)}

    def _consent_purposes(self) -> frozenset[str]:
        """Purposes of the approved studies that need members' consent."""
        service = self.parts.service
        approved = (service.documents.study(d) for d in service.ledger.state.approvals)
        return frozenset(s.consent_purpose for s in approved if s.consent_purpose)

    def consent(
        self,
        member: str,
        purpose: str,
        state: str,
        starts: date | None,
        ends: date | None,
        about: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Record one member's choice; it counts from the next question on.

        `about` may hold `terms` (one line, see `privacy.contract.duo_text`), `text` (the SHA-256
        of the text that was shown), `language` and `evidence`.
        """
        now = self.parts.service.clock()
        written = about.get("terms", "")
        note = Note(
            text=about.get("text", ""),
            language=about.get("language", ""),
            evidence=about.get("evidence", ""),
            recorder=self.by,
            recorded_at=instant_text(now),
        )
        set_consent(
            self.parts.records,
            member,
            purpose,
            one_of(ConsentState, state, "consent state"),
            valid_from=starts,
            valid_until=ends,
            terms=parse_terms(written, "terms") if written else None,
            note=note,
            today=now.astimezone(UTC).date(),
        )
        self.parts.guard.changed(member)

    def consent_counts(self) -> dict[str, dict[str, int]]:
        """How many members said what, by purpose. Exact, so it stays here."""
        return consent_counts(self.parts.records)

    def import_consent(self, file: Path) -> dict[str, Any]:
        """Record every word of a file (FHIR or CSV) here, or change nothing and say why."""
        now = self.parts.service.clock()
        today = now.astimezone(UTC).date()
        count = record_words(
            self.parts.records, read_words(file), at=instant_text(now), today=today
        )
        self.parts.guard.changed()
        return {"words": count}

    def export_consent(self, file: Path) -> dict[str, Any]:
        """Write every word ever recorded to a file: .json or .ndjson (FHIR), or .csv."""
        return {"words": write_words(self.parts.records, file)}

    def member_link(self, member: str, days: int = LINK_DAYS) -> str:
        """A one-time link to a member's own page. Raises BadInput for nobody known."""
        settings = self.parts.settings
        if not settings.member_port or not settings.member_url:
            raise BadInput(
                "this node has no page for members",
                where="node.toml",
                instead="set member_port and member_url, and start it again",
            )
        consent_of(self.parts.records, member)
        secret = self._links().make(member, timedelta(days=days))
        return f"{settings.member_url.rstrip('/')}/open/{secret}"

    def _links(self) -> MemberLinks:
        service = self.parts.service
        return MemberLinks(self.parts.home.links_file, service.entropy, service.clock)

    def lay_result(self, release: str, text: str) -> None:
        """Show members what a release found, in plain words."""
        known = (Entry.from_bytes(line).body for line in self.parts.service.ledger.lines())
        if not any(isinstance(body, Released) and body.release == release for body in known):
            raise BadInput("no such release in the ledger", instead="write its whole digest")
        self.parts.service.documents.keep_lay_result(release, text)

    def adopt_text(self, purpose: str, language: str, text: str) -> str:
        """From now on members are asked with this text; its digest, which the ledger shows."""
        digest = self.parts.service.documents.keep_text(text)
        self.parts.service.ledger.append(
            ConsentText(purpose=purpose, language=language, text=digest, by=self.by)
        )
        return digest

    def erase(self, member: str, reference: str = "") -> list[dict[str, str]]:
        """Take a member out of everything; `reference` is kept in the trace, so name nobody.

        Returns the backups that were made before: the member is still in them.
        """
        service = self.parts.service
        erase_member(
            self.parts.records,
            member,
            by=self.by,
            at=instant_text(service.clock()),
            reference=reference,
            entropy=service.entropy,
        )
        self._links().forget(member)
        self.parts.guard.changed()
        return self.backups()

    def new_person(self, member: str, reference: str = "") -> None:
        """Sign that a key of a later import is a new person, of whom nothing is presumed."""
        at = instant_text(self.parts.service.clock())
        self.parts.balances.new_person(member, by=self.by, at=at, reference=reference)

    def consent_proof(self, epoch: str, member: str = "") -> dict[str, Any]:
        """What opens a month's root of consent to this organisation's auditor."""
        service = self.parts.service
        network = self.parts.settings.network
        opening = open_table(self.parts.records, service.node, network, epoch, member or None)
        return opening.to_json()

    def publish(self) -> dict[str, Any]:
        """Copy the records to the engine beside the node again, whatever is there."""
        self.parts.guard.changed()
        return {"engine": self.parts.settings.engine}

    def score(self, model: Path, out: Path, horizon: float | None) -> dict[str, Any]:
        """Score the organisation's own members with a released model; see `node.scoring`."""
        members = score(self.parts.records, read_model(model), out, horizon)
        return {"members": members, "file": str(out)}

    # linkage

    def linkage(self) -> dict[str, Any]:
        """What the policy agrees to, what is in force, and how many members it concerns.

        The numbers of members are for this organisation alone.
        """
        service = self.parts.service
        state, agreed = service.ledger.state, service.policy.rules.linking
        known = None if state.linkage is None else state.linkage.begun
        return {
            "agreed": None if agreed is None else agreed.to_json(),
            "in_force": None if known is None else _link_words(known),
            "under_way": None if state.linking is None else _link_words(state.linking),
            "begun_this_period": state.links,
            "charged": amount(state.linkage_charged, state.delta),
            **linked_numbers(self.parts.records),
            **self._linkable(() if agreed is None else agreed.fields),
        }

    def _linkable(self, names: tuple[str, ...]) -> dict[str, int]:
        """Who opted in, and who of them has every field and shares them with nobody here."""
        service = self.parts.service
        today = service.clock().astimezone(UTC).date()
        fields = fields_of(names, service.dictionary()) if names else ()
        able = persons(self.parts.records, fields, today) if fields else {}
        return {"opted_in": opted_in(self.parts.records, today), "can_be_linked": len(able)}

    def end_linkage(self, why: str) -> str:
        """End the linkage in force or under way: linked studies are not answered any more."""
        return self.parts.service.linker.end(why, self.by)

    # peers

    def rosters(self) -> list[dict[str, Any]]:
        """Every roster offered, with the fingerprints to compare by telephone."""
        pinned = self.parts.service.ledger.state.roster
        return [
            {
                "digest": roster.digest,
                "epoch": roster.epoch,
                "in_force": pinned == roster.digest,
                "nodes": [
                    {"id": n.id, "name": n.name, "fingerprint": n.public.fingerprint}
                    for n in roster.nodes
                ],
            }
            for roster in self.parts.service.documents.rosters()
        ]

    def confirm(self, digest: str, fingerprints: Collection[str]) -> None:
        """Pin a roster with the fingerprints that were compared; the node's own is included."""
        service = self.parts.service
        roster = service.documents.roster(digest)
        own = service.key.public.fingerprint
        confirm_roster(service.ledger, roster, {*fingerprints, own}, by=self.by)

    def next_period(self, starts: str = "") -> dict[str, Any]:
        """What a steward signs to open the year that begins at `starts`, or now."""
        return self._year(parse_instant(starts) if starts else self.parts.service.clock()).word

    def period_is_over(self) -> bool:
        """Whether no question fits any period now, and the next may be opened."""
        period = self.parts.service.ledger.state.period
        return period is None or parse_instant(period.ends) <= self.parts.service.clock()

    def open_period(self, starts: str, signed: Signed | None) -> None:
        """Open the year that begins at `starts`, once the current one is over."""
        year = self._year(parse_instant(starts))
        self.parts.service.ledger.append(year.model_copy(update={"signed": signed}))

    def _year(self, starts: datetime) -> PeriodOpened:
        budget = Rho.parse(self.parts.service.policy.public_rho)
        return year_from(starts, budget, self.by)


def _link_words(begun: LinkBegun) -> dict[str, Any]:
    return {
        "session": begun.session,
        "nodes": list(begun.nodes),
        "fields": list(begun.fields),
        "ends": begun.ends,
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else instant_text(moment)
