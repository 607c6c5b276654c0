"""Studies, questions and policy as a steward decides on them, and what members say of studies.

Every function gives plain values that a page, the API or the command line only has to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from node.decisions import decide_by_policy, decide_study, rule_reason
from node.desk import Asked, Voice
from node.inbox import columns_touched, cost_words, policy_says, study_sentence
from node.parts import Parts
from node.policy_file import read_policy
from node.policy_trial import try_policy
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.canonical import rational
from privacy.contract.policy import Preset
from privacy.contract.presets import preset
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import Study
from privacy.contract.study_life import SignOff
from privacy.contract.study_words import changes, describe, purpose_words
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.desk_entry import QuestionDecided, Reviewed
from privacy.ledger.entry import Entry, PolicySet
from privacy.ledger.fold import apply
from privacy.ledger.permission import needs_look, study_rule
from privacy.ledger.policy_words import Lines, policy_changes, policy_words
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import Signed
from privacy.ledger.stewards import policy_digest
from privacy.units import Rho

LAST_MONTH = timedelta(days=30)
_QUESTION_WORDS = ("allowed", "refused")


@dataclass(frozen=True)
class StudyDesk:
    """Operations on one node, running or not. `by` is the name that goes into the ledger."""

    parts: Parts
    by: str = "steward"

    # studies

    def studies(self) -> list[dict[str, Any]]:
        """Every study version offered, with this organisation's decision and what speaks for it.

        `words` says in full what an approval covers, `changes` what an amendment changes,
        `policy` which rule refuses it ("" if none), `answers` what researchers answered.
        `sentence`, `columns`, `cost` and `says` are for the first look (see `node.inbox`),
        `signatures` who has signed and whose signatures are missing.
        """
        return [self._shown(study) for study in self.parts.service.documents.studies()]

    def _shown(self, study: Study) -> dict[str, Any]:
        service = self.parts.service
        state, offered = service.ledger.state, service.offered(study.digest)
        policy = service.policy
        rule = study_rule(policy, study, state.delta, reviewed=offered.reviewed)
        notes = [step.note for step in service.documents.proposals(study)]
        return {
            **study.to_json(),
            "digest": study.digest,
            "decision": self._decision(study.digest),
            "purpose_words": purpose_words(study),
            "words": _lines(describe(study)),
            "changes": _lines(self._changes(study)),
            "policy": "" if rule is None else rule_reason(policy, study, rule),
            "signed": offered.signed,
            "reviewed": offered.reviewed,
            "answers": [note for note in notes if note],
            "fingerprints": sorted(_fingerprints(study)),
            "sentence": study_sentence(study),
            "columns": columns_touched(study, service.dictionary()),
            "cost": cost_words(study, state),
            "says": vars(policy_says(policy, offered, state.delta)),
            "signatures": self._signatures(study.digest),
        }

    def _signatures(self, digest: str) -> dict[str, Any]:
        """How many stewards' keys an approval needs, who signed, and who could be the next."""
        state = self.parts.service.ledger.state
        first = state.endorsed.get(digest)
        return {
            "needed": self.parts.service.policy.rules.approvers,
            "signed": [each.name for key, each in state.stewards.items() if key == first],
            "others": [each.name for key, each in state.stewards.items() if key != first],
        }

    def _decision(self, digest: str) -> str:
        """approved, endorsed, refused, asked, withdrawn, superseded or waiting."""
        state = self.parts.service.ledger.state
        if digest in state.endorsed:
            return "endorsed"
        newest = state.decisions.get(digest, "waiting")
        return "superseded" if newest == "approved" and digest not in state.approvals else newest

    def _changes(self, study: Study) -> Lines:
        """Against the newest earlier version that was offered here."""
        every = self.parts.service.documents.studies()
        earlier = [old for old in every if old.id == study.id and old.version < study.version]
        if not earlier:
            return ()
        return changes(max(earlier, key=lambda old: old.version), study)

    def decide(
        self, digest: str, decision: str, reason: str = "", signed: Signed | None = None
    ) -> str:
        """Approve, refuse, ask back or withdraw one version of a study; see `decide_study`.

        Whatever runs for a version that is approved no more ends at once.
        """
        service = self.parts.service
        offered = service.offered(digest)
        decided = decide_study(
            service.ledger,
            offered,
            decision,
            by=self.by,
            now=service.clock(),
            reason=reason,
            signed=signed,
        )
        service.runner.drop_unapproved()
        return decided

    def sign_off(self, digest: str, reviewer: str, words: str = "") -> dict[str, str]:
        """Record a patient reviewer's sign-off of a study version, under the reviewers' key."""
        service = self.parts.service
        study = service.documents.study(digest)
        key = self.parts.home.reviewer(service.entropy)
        said = SignOff(
            study=study.id,
            study_digest=digest,
            organisation=service.node,
            reviewer=reviewer,
            at=instant_text(service.clock()),
            words=words,
        )
        envelope = Envelope.seal("patient-review", said.to_json(), key)
        service.documents.keep_sign_off(envelope)
        service.ledger.append(
            Reviewed(
                study=study.id,
                study_digest=digest,
                reviewer=reviewer,
                key=key.public.text,
                statement=envelope.digest,
                by=self.by,
            )
        )
        decide_by_policy(service.ledger, service.offered(digest), service.clock())
        return {"statement": envelope.digest, "fingerprint": key.public.fingerprint}

    # questions

    def requests(self, days: int = 30) -> list[dict[str, Any]]:
        """The questions of the last days: what was asked, by whom, its cost, what became of it."""
        since = self.parts.service.clock() - timedelta(days=days)
        return [self._request(each) for each in self.parts.desk.requests(instant_text(since))]

    def _request(self, asked: Asked) -> dict[str, Any]:
        state = self.parts.service.ledger.state
        cost = Rho.parse(asked.rho)
        return {
            **vars(asked),
            "epsilon": epsilon_of_rho(cost, state.delta),
            "looked": state.looked.get(asked.mark),
        }

    def waiting_questions(self) -> list[dict[str, Any]]:
        """Questions of the last month that wait for a steward's look, each once, newest first."""
        rules, state = self.parts.service.policy.rules, self.parts.service.ledger.state
        found = {
            each["mark"]: each
            for each in self.requests()
            if needs_look(rules, each["kind"])
            and each["mark"] not in state.looked
            and each["study_digest"] in state.approvals
        }
        return list(found.values())[::-1]

    def decide_question(self, mark: str, decision: str, reason: str = "") -> str:
        """Allow or refuse a question, whoever asks it from now on; raises BadInput."""
        if decision not in _QUESTION_WORDS:
            raise BadInput(f"no decision {decision!r}", instead="write allowed or refused")
        word: Literal["allowed", "refused"] = "allowed" if decision == "allowed" else "refused"
        known = [each for each in self.parts.desk.requests("") if each.mark == mark]
        if not known:
            raise Refused(Code.NOT_FOUND)
        asked = known[-1]
        self.parts.service.ledger.append(
            QuestionDecided(
                mark=mark,
                study=asked.study,
                sentence=asked.sentence[:4096],
                decision=word,
                by=self.by,
                reason=reason,
            )
        )
        return decision

    # policy

    def policy(self) -> dict[str, Any]:
        """The policy in force, in words and figures, and who set it."""
        service = self.parts.service
        policy = service.policy
        return {
            "words": _lines(policy_words(policy, service.ledger.state.delta)),
            "preset": policy.rules.preset.value,
            "by": policy.by,
            "reason": policy.reason,
        }

    def presets(self) -> dict[str, Any]:
        """The presets in words and figures."""
        delta = self.parts.service.ledger.state.delta
        return {
            which.value: _lines(
                policy_words(PolicySet.of(preset(which, rational(delta)), "-"), delta)
            )
            for which in Preset
            if which is not Preset.OWN
        }

    def set_policy(
        self,
        content: str,
        reason: str = "",
        where: str = "policy.toml",
        signed: Signed | None = None,
    ) -> Any:
        """Put the policy of a policy.toml in force; returns what it changes. Raises BadInput.

        Approvals stay as they are; questions are held to the new rules from the next one on.
        """
        service = self.parts.service
        state = service.ledger.state
        old, new = service.policy, self._read(content, reason, where)
        service.ledger.append(new.model_copy(update={"signed": signed}))
        return _lines(policy_changes(old, new, state.delta))

    def put_policy(self, body: PolicySet, reason: str = "", signed: Signed | None = None) -> None:
        """Put a changed policy in force, in this steward's name."""
        said = {"by": self.by, "reason": reason, "signed": signed}
        self.parts.service.ledger.append(body.model_copy(update=said))

    def _read(self, content: str, reason: str, where: str) -> PolicySet:
        delta = rational(self.parts.service.ledger.state.delta)
        return PolicySet.of(read_policy(content, where, delta), self.by, reason)

    def try_policy(self, content: str, where: str = "policy.toml") -> dict[str, Any]:
        """What a policy would have done with last month's requests, and which rule refuses what."""
        service = self.parts.service
        policy = self._read(content, "", where)
        since = instant_text(service.clock() - LAST_MONTH)
        requests = self.parts.desk.requests(since)
        studies = {study.digest: study for study in service.documents.studies()}
        now = service.ledger.state
        tried = try_policy(policy, requests, studies, self._state_at(since), now)
        return {
            "digest": policy_digest(policy),
            "allowed": sum(each.allowed for each in tried),
            "refused": sum(not each.allowed for each in tried),
            "requests": [each.to_json() for each in tried],
            "changes": _lines(policy_changes(service.policy, policy, now.delta)),
        }

    def _state_at(self, instant: str) -> LedgerState:
        """The ledger as it was at an instant."""
        state = LedgerState()
        for line in self.parts.service.ledger.lines():
            entry = Entry.from_bytes(line)
            if entry.at >= instant:
                break
            state = apply(state, entry)
        return state

    # members

    def show_to_members(self, digest: str, shown: bool = True) -> None:
        """Publish a proposed or approved study to the organisation's members, or take it back."""
        self.parts.service.documents.study(digest)
        if shown:
            self.parts.desk.show(digest)
        else:
            self.parts.desk.hide(digest)

    def studies_for_members(self) -> list[dict[str, Any]]:
        """What members are shown: studies in plain words, what became of them, nothing else."""
        documents = self.parts.service.documents
        found = []
        for digest, since in self.parts.desk.shown().items():
            study = documents.study(digest)
            found.append(
                {
                    "digest": digest,
                    "title": study.title,
                    "question": study.question,
                    "summary": study.summary,
                    "purpose": purpose_words(study),
                    "investigators": [each.words for each in study.investigators],
                    "for_profit": study.for_profit,
                    "starts": study.starts,
                    "ends": study.ends,
                    "decision": self._decision(digest),
                    "since": since,
                }
            )
        return found

    def member_says(self, digest: str, kind: str, words: str = "", priority: int = 0) -> None:
        """Keep a member's question about a study that is shown, or how much they want it (1-5).

        Who said it is not kept. Raises BadInput, and Refused(UNKNOWN_STUDY) for one not shown.
        """
        if digest not in self.parts.desk.shown():
            raise Refused(Code.UNKNOWN_STUDY)
        try:
            voice = Voice(kind)
        except ValueError:
            raise BadInput(f"no kind {kind!r}", instead="write question or priority") from None
        self.parts.desk.say(digest, voice, words, priority)

    def voices(self, digest: str) -> dict[str, Any]:
        """What members said about a study: every word, and how often each priority was named."""
        said = self.parts.desk.voices(digest)
        counts = [sum(each["priority"] == n for each in said) for n in range(1, 6)]
        return {"said": [each for each in said if each["words"]], "priorities": counts}


def _lines(lines: Lines) -> list[list[str]]:
    return [[what, text] for what, text in lines]


def _fingerprints(study: Study) -> list[str]:
    return [PublicKey.from_text(key).fingerprint for key in study.keys]
