"""Many requests at once, and what the node decides by itself from now on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from node.decisions import decide_by_policy
from node.expected_shape import ExpectedShape, expected_shape
from node.one_of import one_of
from node.study_desk import StudyDesk
from privacy.contract.policy import Automatic, Preset, Rules
from privacy.errors import BadInput, Refused
from privacy.ledger.entry import PolicySet
from privacy.ledger.steward_entry import Signed

AUTOMATIC_WORDS = {
    Automatic.REFUSE_OUTSIDE: "refuse every study that the policy does not allow",
    Automatic.APPROVE_KNOWN: "approve what known investigators propose within the policy",
    Automatic.COUNTS: "answer questions that only count without a look",
}


@dataclass(frozen=True)
class InboxDesk(StudyDesk):
    """Operations on one node, running or not. `by` is the name that goes into the ledger."""

    def decide_many(
        self, digests: Collection[str], decision: str, reason: str = ""
    ) -> list[dict[str, str]]:
        """One decision on several studies, each by itself: what became of each, and why not."""
        return [self._one_of_many(digest, decision, reason) for digest in digests]

    def _one_of_many(self, digest: str, decision: str, reason: str) -> dict[str, str]:
        study = self.parts.service.documents.study(digest)
        said = {"digest": digest, "title": study.title, "decision": "", "why": ""}
        try:
            return said | {"decision": self.decide(digest, decision, reason)}
        except (BadInput, Refused) as error:
            return said | {"why": str(error)}

    def with_rule(self, rule: str, on: bool, known: Collection[str] = ()) -> PolicySet:
        """The policy in force with one automatic rule more or less, and more keys that are known.

        Raises BadInput for a rule that is none, and for rules that do not go together.
        """
        policy = self.parts.service.policy
        named = one_of(Automatic, rule, "rule")
        wanted = {*policy.rules.automatic} - {named} | ({named} if on else set())
        keys = {*policy.rules.known, *known}
        if Automatic.APPROVE_KNOWN in wanted and not keys:
            raise BadInput(
                "nobody who proposes studies is known here yet",
                instead="open a study, and confirm there that you compared their fingerprint",
            )
        said = policy.rules.to_json() | {
            "preset": Preset.OWN.value,
            "automatic": sorted(each.value for each in wanted),
            "known": sorted(keys),
        }
        return policy.model_copy(update={"rules": Rules.from_json(said), "signed": None})

    def set_rule(
        self,
        rule: str,
        on: bool,
        reason: str = "",
        known: Collection[str] = (),
        signed: Signed | None = None,
    ) -> list[dict[str, str]]:
        """Put `with_rule` in force; returns what that decides at once of the studies that wait."""
        self.put_policy(self.with_rule(rule, on, known), reason, signed)
        return self._decide_waiting()

    def _decide_waiting(self) -> list[dict[str, str]]:
        service, decided = self.parts.service, []
        for study in service.documents.studies():
            found = decide_by_policy(service.ledger, service.offered(study.digest), service.clock())
            if found is not None:
                said = {"decision": found.decision, "why": found.reason}
                decided.append({"digest": study.digest, "title": study.title, **said})
        return decided

    def automatic(self) -> list[dict[str, Any]]:
        """Every rule by which the node decides by itself, and whether it is in force."""
        inside = self.parts.service.policy.rules.automatic
        return [
            {"rule": rule.value, "words": words, "on": rule in inside}
            for rule, words in AUTOMATIC_WORDS.items()
        ]

    def shape(self, digest: str) -> ExpectedShape:
        """What answers to a study would look like, on made-up members."""
        service = self.parts.service
        nodes = len(service.roster().nodes) if service.ledger.state.roster else 0
        study = service.documents.study(digest)
        return expected_shape(study, service.dictionary(), nodes, service.entropy)
