"""Studies, questions and policy of a running node, through the socket in its folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from privacy.ledger.steward_entry import Signed


def signed_json(signed: Signed | None) -> dict[str, Any]:
    """A steward's signature as a field of a form, if there is one."""
    return {} if signed is None else {"signed": signed.to_json()}


class StudyHand(Protocol):
    """What a command asks of a node about studies, questions and policy."""

    def studies(self) -> list[dict[str, Any]]: ...
    def decide(
        self, digest: str, decision: str, reason: str = "", signed: Signed | None = None
    ) -> str: ...
    def sign_off(self, digest: str, reviewer: str, words: str = "") -> dict[str, str]: ...
    def requests(self, days: int = 30) -> list[dict[str, Any]]: ...
    def waiting_questions(self) -> list[dict[str, Any]]: ...
    def decide_question(self, mark: str, decision: str, reason: str = "") -> str: ...
    def policy(self) -> dict[str, Any]: ...
    def presets(self) -> dict[str, Any]: ...
    def set_policy(
        self, content: str, reason: str = "", where: str = "", signed: Signed | None = None
    ) -> Any: ...
    def try_policy(self, content: str, where: str = "") -> dict[str, Any]: ...
    def show_to_members(self, digest: str, shown: bool = True) -> None: ...
    def studies_for_members(self) -> list[dict[str, Any]]: ...
    def member_says(self, digest: str, kind: str, words: str = "", priority: int = 0) -> None: ...
    def voices(self, digest: str) -> dict[str, Any]: ...


class RunningStudies(ABC):
    """The same of a running node. `by` is the name that goes into the ledger."""

    by: str = "steward"

    @abstractmethod
    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one request; raises what the node refuses with."""

    def studies(self) -> list[dict[str, Any]]:
        return list(self._ask("GET", "/v1/studies"))

    def decide(
        self, digest: str, decision: str, reason: str = "", signed: Signed | None = None
    ) -> str:
        form = {"decision": decision, "reason": reason, "by": self.by, **signed_json(signed)}
        return str(self._ask("POST", f"/v1/studies/{digest}/decision", form)["decision"])

    def sign_off(self, digest: str, reviewer: str, words: str = "") -> dict[str, str]:
        form = {"reviewer": reviewer, "words": words, "by": self.by}
        return dict(self._ask("POST", f"/v1/studies/{digest}/review", form))

    def requests(self, days: int = 30) -> list[dict[str, Any]]:
        return list(self._ask("GET", f"/v1/requests?days={days}"))

    def waiting_questions(self) -> list[dict[str, Any]]:
        return list(self._ask("GET", "/v1/requests/waiting"))

    def decide_question(self, mark: str, decision: str, reason: str = "") -> str:
        form = {"decision": decision, "reason": reason, "by": self.by}
        return str(self._ask("POST", f"/v1/requests/{mark}", form)["decision"])

    def policy(self) -> dict[str, Any]:
        return dict(self._ask("GET", "/v1/policy"))

    def presets(self) -> dict[str, Any]:
        return dict(self._ask("GET", "/v1/policy/presets"))

    def set_policy(
        self, content: str, reason: str = "", where: str = "", signed: Signed | None = None
    ) -> Any:
        del where  # the node names it policy.toml
        form = {"content": content, "reason": reason, "by": self.by, **signed_json(signed)}
        return self._ask("POST", "/v1/policy", form)["changes"]

    def try_policy(self, content: str, where: str = "") -> dict[str, Any]:
        del where
        return dict(self._ask("POST", "/v1/policy/trial", {"content": content, "by": self.by}))

    def show_to_members(self, digest: str, shown: bool = True) -> None:
        self._ask("POST" if shown else "DELETE", f"/v1/members/studies/{digest}")

    def studies_for_members(self) -> list[dict[str, Any]]:
        return list(self._ask("GET", "/v1/members/studies"))

    def member_says(self, digest: str, kind: str, words: str = "", priority: int = 0) -> None:
        form = {"kind": kind, "words": words, "priority": priority}
        self._ask("POST", f"/v1/members/studies/{digest}/voices", form)

    def voices(self, digest: str) -> dict[str, Any]:
        return dict(self._ask("GET", f"/v1/members/studies/{digest}/voices"))
