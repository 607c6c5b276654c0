"""The steward's hand on a node: through its local socket while it runs, directly otherwise.

DuckDB lets one process at a time open the records, so a command never opens them beside a
running node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import httpx

from node.home import Home
from node.study_link import RunningStudies, StudyHand, signed_json
from node.upkeep_link import RunningUpkeep, UpkeepHand
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.steward_entry import Signed

LONG_SECONDS = 3600.0


class Hand(StudyHand, UpkeepHand, Protocol):
    """What a command asks of a node, running or not."""

    def status(self) -> dict[str, Any]: ...
    def promise(self) -> dict[str, Any]: ...
    def console(self) -> str: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def import_data(self, folder: Path) -> dict[str, Any]: ...
    def check_data(self, folder: Path) -> dict[str, Any]: ...
    def consent(
        self,
        member: str,
        purpose: str,
        state: str,
        starts: date | None,
        ends: date | None,
        about: Mapping[str, str],
    ) -> None: ...
    def import_consent(self, file: Path) -> dict[str, Any]: ...
    def export_consent(self, file: Path) -> dict[str, Any]: ...
    def member_link(self, member: str, days: int) -> str: ...
    def lay_result(self, release: str, text: str) -> None: ...
    def score(self, model: Path, out: Path, horizon: float | None) -> dict[str, Any]: ...
    def adopt_text(self, purpose: str, language: str, text: str) -> str: ...
    def erase(self, member: str, reference: str = "") -> list[dict[str, str]]: ...
    def new_person(self, member: str, reference: str = "") -> None: ...
    def consent_proof(self, epoch: str, member: str = "") -> dict[str, Any]: ...
    def publish(self) -> dict[str, Any]: ...
    def linkage(self) -> dict[str, Any]: ...
    def end_linkage(self, why: str) -> str: ...
    def rosters(self) -> list[dict[str, Any]]: ...
    def confirm(self, digest: str, fingerprints: list[str]) -> None: ...
    def next_period(self) -> dict[str, Any]: ...
    def open_period(self, starts: str, signed: Signed | None) -> None: ...
    def accept_history(self, of: str, reason: str) -> None: ...
    def coordinator(self, named: str = "") -> dict[str, Any]: ...
    def accept_coordinator(self, key: str, reason: str, signed: Signed | None = None) -> None: ...
    def recover(self, reason: str, copy: Path | None = None) -> dict[str, Any]: ...
    def assume_spent(self, reason: str) -> dict[str, Any]: ...
    def ledger(self, start: int, stop: int) -> dict[str, Any]: ...
    def left_the_building(self, compare: bool = False) -> list[dict[str, Any]]: ...
    def verify(self) -> dict[str, Any]: ...


class RunningNode(RunningStudies, RunningUpkeep):
    """A running node, through the socket in its folder."""

    def __init__(self, client: httpx.Client, by: str = "steward") -> None:
        self._client = client
        self.by = by

    def status(self) -> dict[str, Any]:
        return dict(self._ask("GET", "/v1/status"))

    def promise(self) -> dict[str, Any]:
        return dict(self._ask("GET", "/v1/promise"))

    def console(self) -> str:
        return str(self._ask("POST", "/v1/console", {"by": self.by})["path"])

    def pause(self) -> None:
        self._ask("POST", "/v1/pause")

    def resume(self) -> None:
        self._ask("POST", "/v1/resume")

    def import_data(self, folder: Path) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/import", {"folder": str(folder.resolve())}))

    def check_data(self, folder: Path) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/check", {"folder": str(folder.resolve())}))

    def consent(
        self,
        member: str,
        purpose: str,
        state: str,
        starts: date | None,
        ends: date | None,
        about: Mapping[str, str],
    ) -> None:
        form = {
            **about,
            "member": member,
            "purpose": purpose,
            "state": state,
            "starts": starts.isoformat() if starts else None,
            "ends": ends.isoformat() if ends else None,
        }
        self._ask("POST", "/v1/consent", form)

    def import_consent(self, file: Path) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/consent/import", {"file": str(file.resolve())}))

    def export_consent(self, file: Path) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/consent/export", {"file": str(file.resolve())}))

    def member_link(self, member: str, days: int) -> str:
        return str(self._ask("POST", "/v1/member-link", {"member": member, "days": days})["link"])

    def lay_result(self, release: str, text: str) -> None:
        self._ask("POST", "/v1/lay-result", {"release": release, "text": text})

    def score(self, model: Path, out: Path, horizon: float | None) -> dict[str, Any]:
        form = {"model": str(model.resolve()), "out": str(out.resolve()), "horizon": horizon}
        return dict(self._ask("POST", "/v1/score", form))

    def adopt_text(self, purpose: str, language: str, text: str) -> str:
        form = {"purpose": purpose, "language": language, "text": text}
        return str(self._ask("POST", "/v1/consent/texts", form)["digest"])

    def erase(self, member: str, reference: str = "") -> list[dict[str, str]]:
        form = {"member": member, "reference": reference}
        return list(self._ask("POST", "/v1/erase", form)["backups"])

    def new_person(self, member: str, reference: str = "") -> None:
        self._ask("POST", "/v1/new-person", {"member": member, "reference": reference})

    def consent_proof(self, epoch: str, member: str = "") -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/consent/proof", {"epoch": epoch, "member": member}))

    def publish(self) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/publish"))

    def linkage(self) -> dict[str, Any]:
        return dict(self._ask("GET", "/v1/linkage"))

    def end_linkage(self, why: str) -> str:
        form = {"why": why, "by": self.by}
        return str(self._ask("POST", "/v1/linkage/end", form)["session"])

    def rosters(self) -> list[dict[str, Any]]:
        return list(self._ask("GET", "/v1/rosters"))

    def confirm(self, digest: str, fingerprints: list[str]) -> None:
        self._ask("POST", "/v1/rosters/confirm", {"digest": digest, "fingerprints": fingerprints})

    def next_period(self) -> dict[str, Any]:
        return dict(self._ask("GET", "/v1/period"))

    def open_period(self, starts: str, signed: Signed | None) -> None:
        self._ask("POST", "/v1/period", {"starts": starts, "by": self.by, **signed_json(signed)})

    def accept_history(self, of: str, reason: str) -> None:
        self._ask("POST", "/v1/history/accept", {"of": of, "reason": reason, "by": self.by})

    def coordinator(self, named: str = "") -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/coordinator", {"named": named}))

    def accept_coordinator(self, key: str, reason: str, signed: Signed | None = None) -> None:
        form = {"key": key, "reason": reason, "by": self.by, **signed_json(signed)}
        self._ask("POST", "/v1/coordinator/accept", form)

    def recover(self, reason: str, copy: Path | None = None) -> dict[str, Any]:
        file = None if copy is None else str(copy.resolve())
        form = {"reason": reason, "file": file, "by": self.by}
        return dict(self._ask("POST", "/v1/ledger/recover", form))

    def assume_spent(self, reason: str) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/ledger/assume-spent", {"reason": reason, "by": self.by}))

    def ledger(self, start: int, stop: int) -> dict[str, Any]:
        return dict(self._ask("GET", f"/v1/ledger?start={start}&limit={max(1, stop - start)}"))

    def left_the_building(self, compare: bool = False) -> list[dict[str, Any]]:
        return list(self._ask("GET", f"/v1/left?compare={str(compare).lower()}"))

    def verify(self) -> dict[str, Any]:
        return dict(self._ask("POST", "/v1/ledger/verify"))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, path, json=body)
        if answer.is_success:
            return answer.json()
        problem = answer.json()
        if answer.status_code == 422:
            raise BadInput(str(problem["detail"]))
        if answer.status_code == 500 and problem["code"] == Code.LEDGER_STOPPED.value:
            raise VerificationFailed(str(problem["detail"]))
        raise Refused(Code(problem["code"]), **problem["fields"])


@contextmanager
def hand(home: Home, by: str = "steward") -> Iterator[Hand]:
    """The running node if there is one, else its files. `by` goes into the ledger."""
    with _client(home) as client:
        if _answers(home, client):
            yield RunningNode(client, by)
            return
    from node.program import build, utc_now
    from node.steward import Steward

    parts = build(home, entropy=os.urandom, clock=utc_now)
    try:
        yield Steward(parts, by)
    finally:
        parts.close()


def is_running(home: Home) -> bool:
    """Whether a node answers in the folder's socket."""
    with _client(home) as client:
        return _answers(home, client)


def _client(home: Home) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(home.socket_file))
    return httpx.Client(transport=transport, base_url="http://node", timeout=LONG_SECONDS)


def _answers(home: Home, client: httpx.Client) -> bool:
    if not home.socket_file.exists():
        return False
    try:
        return client.get("/health", timeout=5.0).is_success
    except httpx.TransportError:
        return False
