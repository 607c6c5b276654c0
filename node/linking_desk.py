"""Agreeing to link members with other organisations, and agreeing no more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from node.linkage_history import past_linkages
from node.study_desk import StudyDesk
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.dictionary import Rows
from privacy.contract.policy import Linking, Preset, Rules
from privacy.errors import BadInput
from privacy.ledger.entry import PolicySet
from privacy.linkage.dummies import COST


@dataclass(frozen=True)
class LinkingDesk(StudyDesk):
    """Operations on one node, running or not. `by` is the name that goes into the ledger."""

    def linkage_choices(self) -> dict[str, Any]:
        """Whom and what an agreement could name, what one linkage costs, and those of the past."""
        service = self.parts.service
        nodes = service.roster().nodes if service.ledger.state.roster else ()
        return {
            "partners": [(n.id, n.name) for n in nodes if n.id != service.node],
            "fields": [
                name
                for name, ref in service.dictionary().refs.items()
                if ref.column.identifier and ref.table.rows is Rows.ONE
            ],
            "cost": epsilon_of_rho(COST, service.ledger.state.delta),
            "past": past_linkages(service.ledger),
        }

    def with_linking(
        self, partners: Collection[str], fields: Collection[str], room: int, a_year: int
    ) -> PolicySet:
        """The policy in force with an agreement to link; raises BadInput for one that is none."""
        if self.parts.service.policy.individual:
            raise BadInput(
                "members who are charged one by one are not linked",
                instead="change the policy first: leave out ceiling_epsilon",
            )
        agreed = {"partners": sorted(partners), "fields": sorted(fields)}
        return self._linking({**agreed, "room": room, "a_year": a_year})

    def without_linking(self) -> PolicySet:
        """The policy in force with no such agreement. What is linked stays so until it ends."""
        return self._linking(None)

    def _linking(self, said: dict[str, Any] | None) -> PolicySet:
        policy = self.parts.service.policy
        linking = None if said is None else Linking.from_json(said).to_json()
        changed = {"preset": Preset.OWN.value, "linking": linking}
        rules = Rules.from_json(policy.rules.to_json() | changed)
        return policy.model_copy(update={"rules": rules, "signed": None})
