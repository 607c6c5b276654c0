"""What your pages ask of you, and your answers: signed here, never at the coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from coordinator.client.delegating import Leave
from coordinator.client.remote import RemoteStudy
from coordinator.client.step_asked import StepAsked
from coordinator.client.study import Study
from coordinator.client.transport import Transport, path_part
from privacy import errors
from privacy.contract.signing import SigningKey
from privacy.errors import VerificationFailed


class AskedByPages:
    """The part of a `Network` that answers its pages."""

    transport: Transport

    def leave_asked(self) -> list[Leave]:
        """What your pages ask for and you have not answered: `give_leave` signs one.

        Nothing of another version of a study than the one that is checked here is offered.

        Example: `for leave in net.leave_asked(): print(leave.words)`
        """
        said = self.transport.get("/v1/delegations/asked")["asked"]
        found: list[Leave] = []
        for each in said:
            with suppress(errors.BadInput, errors.Refused, VerificationFailed):
                study = self._remote(str(each["study"])).facts()
                found.append(Leave.of(each, study, datetime.now(UTC)))
        return found

    def give_leave(self, leave: Leave) -> str:
        """Sign exactly what `leave.words` tells and let your pages ask; the delegation's digest.

        Raises Refused for one that was answered or is over.

        Example: `net.give_leave(leave)`
        """
        signed = leave.signed(self._signing_key())
        ask = {"delegation": signed.to_json(), "asked": leave.asked}
        return str(self.transport.post("/v1/delegations", ask)["delegation"])

    def refuse_leave(self, leave: Leave) -> None:
        """Tell your pages that they may not.

        Example: `net.refuse_leave(leave)`
        """
        self.transport.post(f"/v1/delegations/asked/{path_part(leave.asked)}/refuse", {})

    def steps_asked(self) -> list[StepAsked]:
        """The steps of your studies that your pages ask for: `take_step` signs one.

        Nothing of another version of a study, and no answer, is offered that does not check here.

        Example: `for step in net.steps_asked(): print(step.words)`
        """
        said = self.transport.get("/v1/steps/asked")["asked"]
        found: list[StepAsked] = []
        for each in said:
            with suppress(errors.BadInput, errors.Refused, VerificationFailed):
                found.append(self._step(each))
        return found

    def step_asked(self, asked: str) -> StepAsked:
        """One of these requests by its id, checked, answered or not.

        Raises Refused for none, BadInput and VerificationFailed for one that does not check.

        Example: `net.step_asked("5b07e1c4").words`
        """
        return self._step(self.transport.get(f"/v1/steps/asked/{path_part(asked)}"))

    def take_step(self, step: StepAsked) -> str:
        """Sign exactly what `step.words` tells, and take the step; the state after it.

        Raises Refused for one that was answered, is over, or is not the study's turn.

        Example: `net.take_step(step)`
        """
        signed = step.signed(self._signing_key(), datetime.now(UTC))
        ask = {"step": signed.to_json(), "asked": step.asked}
        return str(self.transport.post(f"/v1/studies/{step.study.id}/steps", ask)["state"])

    def refuse_step(self, step: StepAsked) -> None:
        """Tell your pages that you do not take it.

        Example: `net.refuse_step(step)`
        """
        self.transport.post(f"/v1/steps/asked/{path_part(step.asked)}/refuse", {})

    def _step(self, said: Mapping[str, Any]) -> StepAsked:
        name = str(said["study"])
        study = Study(name, self._remote(name))
        return StepAsked.of(said, study.facts, lambda each: study.release(each).asked.sentence)

    def _remote(self, study_id: str) -> RemoteStudy:
        raise NotImplementedError

    def _signing_key(self) -> SigningKey:
        raise NotImplementedError
