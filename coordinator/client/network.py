"""The way in: a network by its address and a token, or a folder of made-up data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from coordinator.client.asked_by_pages import AskedByPages
from coordinator.client.audit import Audit
from coordinator.client.catalogue import Catalogue
from coordinator.client.delegating import Delegated
from coordinator.client.errors import BadInput, NotSignedIn, Refused
from coordinator.client.insight import Insight, insight_of
from coordinator.client.job import Job
from coordinator.client.known_coordinator import KnownCoordinator
from coordinator.client.library import ReleaseInfo
from coordinator.client.proposing import propose, studies_of_file
from coordinator.client.question import Question
from coordinator.client.remote import RemoteStudy
from coordinator.client.result import Result
from coordinator.client.session import KeptSession
from coordinator.client.study import Study, mock_study
from coordinator.client.transport import Transport, path_part
from coordinator.study_file import load_study_file
from models.aggregates.requests import Analysis, parse_analysis
from models.dictionary_file import load_dictionary
from models.sentences import sentence
from models.within import check_study
from privacy.contract.dictionary import Dictionary
from privacy.contract.signing import SigningKey
from privacy.contract.study import Investigator
from privacy.contract.token import Token
from privacy.errors import Code

_MOCK = "mock:"
_RELEASES = 500  # the most that are listed together


@dataclass(frozen=True)
class NodeInfo:
    """An organisation's node as everybody may see it."""

    id: str
    name: str
    state: str
    last_contact: str | None
    version: str
    fingerprint: str

    def __str__(self) -> str:
        seen = self.last_contact or "never"
        return f"{self.id} ({self.name}): {self.state}, last contact {seen}"

    __repr__ = __str__


@dataclass(frozen=True)
class RunInfo:
    """A run with its state and how many of its rounds are done."""

    id: str
    study: str
    state: str
    round: int
    rounds: int
    created: str
    finished: str | None


class Network(AskedByPages):
    """Studies, nodes and earlier runs of one network; `connect` gives one.

    Every call raises NotSignedIn without a token that is known, Unreachable where the coordinator
    does not answer, and Refused for what your role may not see.
    """

    def __init__(self, transport: Transport, token: Token | None) -> None:
        self.transport = transport
        self._token = token
        self._studies: dict[str, Study] = {}

    def studies(self) -> list[Study]:
        """The studies you may see.

        Example: `[study.id for study in net.studies()]`
        """
        said = self.transport.get("/v1/studies")["studies"]
        return [self._study(summary["id"]) for summary in said]

    def study(self, study_id: str) -> Study:
        """One study; raises Refused if there is none of this name for you.

        Example: `study = net.study("als-progression")`
        """
        found = self._study(study_id)
        _ = found.facts
        return found

    def release(self, study_id: str, digest: str) -> Result:
        """A stored answer, for whoever may read releases; raises Refused. Costs nothing.

        Example: `net.release("als-progression", "3f9c0a71")`
        """
        return self._study(study_id).release(digest)

    def releases(
        self, text: str = "", *, study: str = "", kind: str = "", among: int = _RELEASES
    ) -> list[ReleaseInfo]:
        """Of the newest `among` answers that you may see, of one study where it is named, those of
        one kind of analysis, in which every word of `text` stands.

        Example: `net.releases("severity", kind="histogram")`
        """
        said = self.transport.get("/v1/releases", study=study, limit=among)["releases"]
        found = map(ReleaseInfo.of, said)
        return [each for each in found if kind in ("", each.kind) and each.says(text)]

    def propose(self, study_file: str | Path) -> list[Study]:
        """Propose the studies of a study.toml, signed by you, to every organisation.

        You are the investigator where the file names none. Raises BadInput for what does not
        fit the dictionary, and Refused for a version that is not the next.

        Example: `net.propose("study.toml")`
        """
        path, key = Path(study_file), self._signing_key()
        network = self.transport.get("/v1/network")
        dictionary = Dictionary.from_json(self.transport.get("/v1/network/dictionary"))
        me = self.me()
        own = Investigator(key=key.public.text, name=me["name"])
        found = studies_of_file(_text(path), path.name, dictionary, network["delta"], own)
        for study in found:
            propose(self.transport, study, key)
            self._studies.pop(study.id, None)
        return [self._study(study.id) for study in found]

    def me(self) -> dict[str, Any]:
        """Whose credential this is: `name`, `role` and public key.

        Example: `net.me()["role"]`
        """
        return dict(self.transport.get("/v1/me"))

    def browser_link(self) -> str:
        """A link that signs a browser in as you. It opens once, within ten minutes.

        Example: `print(net.browser_link())`
        """
        return self.transport.url + str(self.transport.post("/v1/me/link", {})["path"])

    def register(self) -> list[dict[str, Any]]:
        """The public register: every approved study, and what it found, in plain words.

        Example: `[each["title"] for each in net.register()]`
        """
        return list(self.transport.get("/api/register")["studies"])

    def insight(self, study: str, base: str = "") -> Insight:
        """A study of the public register with the answers that it published; needs no token.

        `base` is the coordinator's public address, if it is another than the one connected to.
        Raises Refused(NOT_FOUND) for a study that is not in the register.

        Example: `net.insight("als-progression").save("card.html")`
        """
        said = self.transport.get(f"/api/register/{path_part(study)}")
        return insight_of(said, base or self.transport.url, KnownCoordinator(self.transport))

    def catalogue(self, by: str = "") -> Catalogue:
        """Variables by the levels of a column (conditions without one), in bands of members.

        Bands are read off releases that you may see, so they cost nothing.

        Example: `net.catalogue().table`
        """
        return Catalogue.from_json(self.transport.get("/v1/catalogue", by=by))

    def nodes(self) -> list[NodeInfo]:
        """Every node with its public state.

        Example: `print(net.nodes())`
        """
        names = NodeInfo.__dataclass_fields__
        said = self.transport.get("/v1/nodes")["nodes"]
        return [NodeInfo(**{name: node[name] for name in names}) for node in said]

    @property
    def audit(self) -> Audit:
        """What an auditor reads: organisations at a glance, ledgers, their verification."""
        return Audit(self.transport)

    def linkages(self) -> list[dict[str, Any]]:
        """Every linkage between organisations: who, by what, until when, what became of it.

        Example: `net.linkages()`
        """
        return list(self.transport.get("/v1/linkages")["linkages"])

    def run(self, run_id: str) -> Result:
        """The result of an earlier run; raises what it ended with.

        Example: `net.run(error.run_id)` after `TimedOut`
        """
        run: Mapping[str, Any] = self.transport.get(f"/v1/runs/{run_id}")
        analysis, cohort = parse_analysis(run["analysis"]), str(run["cohort"])
        found = self._remote(run["study"]).finished(run, sentence(analysis, cohort))
        return replace(found, question=self._asked(run["study"], analysis, cohort))

    def _asked(self, study: str, analysis: Analysis, cohort: str) -> Question | None:
        """The question of an earlier answer, if the study still takes it."""
        try:
            return self._study(study).ask(analysis, cohort)
        except (BadInput, Refused):
            return None

    def job(self, run_id: str) -> Job:
        """A run that was started earlier: its progress, its result, and how to stop it.

        Raises Refused for a run that you may not see.

        Example: `net.job(run_id).wait()`
        """
        run: Mapping[str, Any] = self.transport.get(f"/v1/runs/{path_part(run_id)}")
        words = sentence(parse_analysis(run["analysis"]), run["cohort"])
        return Job(self._remote(run["study"]), run, words)

    def runs(self, limit: int = 20) -> list[RunInfo]:
        """The newest runs of the studies you may see.

        Example: `net.runs(limit=5)`
        """
        names = RunInfo.__dataclass_fields__
        said = self.transport.get("/v1/runs", limit=limit)["runs"]
        return [RunInfo(**{name: run[name] for name in names}) for run in said]

    def end_delegation(self, delegated: Delegated) -> str:
        """Take a delegation of yours back before its time; its digest. Every node refuses what is
        asked under it from its next contact on. Raises BadInput for somebody else's.

        Example: `net.end_delegation(delegated)`
        """
        ask = delegated.end(self._signing_key(), datetime.now(UTC))
        return str(self.transport.post("/v1/delegations/end", ask)["delegation"])

    def close(self) -> None:
        self.transport.close()

    def _study(self, study_id: str) -> Study:
        if study_id not in self._studies:
            self._studies[study_id] = Study(study_id, self._remote(study_id))
        return self._studies[study_id]

    def _remote(self, study_id: str) -> RemoteStudy:
        return RemoteStudy(self.transport, path_part(study_id), self._signing_key)

    def _signing_key(self) -> SigningKey:
        if self._token is None:
            raise NotSignedIn(Code.NOT_SIGNED_IN, "Questions are signed with your token.")
        return self._token.signing_key

    def __repr__(self) -> str:
        return f"Network({self.transport.url!r})"


class MockNetwork:
    """The studies of a folder, on made-up members; nothing is contacted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._studies = {s.id: s for s in _mock_studies(folder)}

    def studies(self) -> list[Study]:
        return list(self._studies.values())

    def study(self, study_id: str) -> Study:
        try:
            return self._studies[study_id]
        except KeyError:
            raise Refused(Code.UNKNOWN_STUDY, f"There is no study {study_id!r} here.") from None

    def nodes(self) -> list[NodeInfo]:
        """Made-up members have no nodes."""
        return []

    def linkages(self) -> list[dict[str, Any]]:
        """Nor are they linked."""
        return []

    def close(self) -> None:
        """Nothing was opened."""

    def __repr__(self) -> str:
        return f"MockNetwork({str(self.folder)!r})"


def connect(
    url: str | None = None,
    token: str | None = None,
    ca: str | Path | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
) -> Network | MockNetwork:
    """A network by its address and your token, or "mock:DIR".

    What is not given comes from CAIRN_URL, CAIRN_TOKEN and CAIRN_CA (a PEM file); without a
    token, from the session that `cairn login` left. Nothing is sent yet. Raises BadInput for
    an address or a token that cannot be one.

    Example: `net = connect("https://cairn.example.org", token=token)`
    """
    if not isinstance(url, str | None):
        raise BadInput("an address is text", where="url", instead="https://… or mock:DIR")
    address = url or os.environ.get("CAIRN_URL", "")
    if not address:
        raise BadInput("no address", where="url", instead="pass url=… or set CAIRN_URL")
    if address.startswith(_MOCK):
        return MockNetwork(Path(address.removeprefix(_MOCK)))
    secret = token or os.environ.get("CAIRN_TOKEN", "")
    trusted = ca or os.environ.get("CAIRN_CA") or None
    kept = KeptSession(address, trusted)
    if secret or not kept.exists:
        parsed = Token.parse(secret) if secret else None
        bearer = None if parsed is None else parsed.bearer
        return Network(Transport(address, bearer, trusted, transport=transport), parsed)
    return Network(Transport(address, kept.bearer, trusted, transport=transport), kept.token())


def _mock_studies(folder: Path) -> list[Study]:
    dictionary = load_dictionary(_text(folder / "dictionary.toml"), "dictionary.toml")
    today = datetime.now(UTC).date()
    file = load_study_file(_text(folder / "study.toml"), "study.toml", today)
    written = file.study_facts(dictionary.digest, ())
    return [mock_study(check_study(facts, dictionary), dictionary) for facts in written]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read", where=str(path)) from None
