"""`make demo`: three patient organisations, a researcher's questions, and their answers.

Real processes on this machine: a coordinator with its Flower link and three nodes, each with
its own keys, database and ledger, TLS between them. First three generated organisations, then
the same path on real data: 228 lung cancer patients of 18 institutions in three organisations.
Last, people who are members of two organisations, counted once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from coordinator.client import connect
from coordinator.client.question import Question
from coordinator.client.study import Study
from deploy.example import write_example
from deploy.layout import read_layout
from deploy.linked import link_members
from deploy.lung import write_lung_example
from deploy.network import Network, start, stop_signals
from deploy.prepared import prepare, utc_now
from deploy.shared import FIELDS, MEMBERSHIPS, PEOPLE, write_shared_example
from privacy.errors import CairnError

RULE = "─" * 78


@dataclass(frozen=True)
class Asked:
    """One question of the demonstration: its title and how to ask it."""

    title: str
    question: Callable[[Study], Question]
    epsilon: float
    study: str = ""  # another than the story's


@dataclass(frozen=True)
class Story:
    """One network of the demonstration."""

    title: str
    write: Callable[[Path], None]
    study: str
    questions: Sequence[Asked]
    rule: str = ""  # how the data became three organisations, where that was chosen
    link: Sequence[str] = ()  # by what members are linked before anything is asked


GENERATED = Story(
    "Three generated organisations: ALS, multiple sclerosis, mood disorders",
    write_example,
    "als-progression",
    (
        Asked(
            "How many adults with ALS take which treatment?",
            lambda study: study.where("condition == 'als' and age >= 18").count(by="treatment"),
            0.3,
        ),
        Asked("How severe are the symptoms?", lambda study: study.histogram("severity"), 0.5),
        Asked(
            "What is the mean functional score in ALS?",
            lambda study: study.where("condition == 'als'").mean("alsfrs_r"),
            0.5,
        ),
    ),
)

LUNG = Story(
    "Real data: NCCTG lung cancer, 18 institutions in three organisations",
    write_lung_example,
    "lung-survival",
    (
        Asked(
            "How many patients of 50 and over, by performance status?",
            lambda study: study.where("age >= 50").count(by="ecog"),
            1.0,
        ),
        Asked("How old are they?", lambda study: study.histogram("age"), 1.0),
        Asked(
            "What is the mean Karnofsky score?",
            lambda study: study.mean("karnofsky_physician"),
            1.0,
        ),
    ),
    "Institutions are sorted by their number of people, the largest first, and dealt in turn.",
)

SHARED = Story(
    "Made-up people, some of them members of two organisations",
    write_shared_example,
    "everywhere",
    (
        Asked("Counted wherever they are members", lambda study: study.count(), 3.0),
        Asked("Each person counted once", lambda study: study.count(), 3.0, "each-once"),
    ),
    f"{PEOPLE} people with {MEMBERSHIPS} memberships; nobody is told who is whom.",
    FIELDS,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="exit when it is done")
    chosen = parser.parse_args(arguments)
    try:
        return _run(once=chosen.once)
    except CairnError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _run(*, once: bool) -> int:
    began = time.monotonic()
    with stop_signals() as stop, ExitStack() as open_networks:
        networks = []
        for story in (GENERATED, LUNG, SHARED):
            _head(story.title)
            if story.rule:
                print(story.rule, flush=True)
            networks.append(open_networks.enter_context(_Running(story)))
            _tell(networks[-1].network, story, began)
            if stop.is_set():
                return 130
        print(f"\n{RULE}\ndone in {time.monotonic() - began:.0f} s")
        if not once:
            _stay(networks)
            stop.wait()
    return 0


class _Running:
    """A story's network while it runs, in a folder that goes away with it."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._folder = tempfile.TemporaryDirectory(prefix="cairn-demo-")

    def __enter__(self) -> _Running:
        root = Path(self._folder.name)
        self._story.write(root / "data")
        layout = read_layout(root / "data", utc_now().date())
        self.network: Network = start(prepare(layout, root / "state", _say))
        _say("starting the coordinator and the nodes")
        try:
            self.network.wait_ready()
            if self._story.link:
                _say("linking the members, without telling anybody who they are")
                link_members(self.network, self._story.link)
        except CairnError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.network.stop()
        self._folder.cleanup()


def _tell(network: Network, story: Story, began: float) -> None:
    prepared = network.prepared
    net = connect(prepared.url, token=prepared.tokens.researcher.text)
    for number, asked in enumerate(story.questions):
        question = asked.question(net.study(asked.study or story.study))
        print(f"\n{asked.title}\n")
        print(_indent(str(question.preview(epsilon=asked.epsilon))))
        print(_indent(str(question.run(epsilon=asked.epsilon))), flush=True)
        if number == 0 and story is GENERATED:
            print(f"\n    first answer {time.monotonic() - began:.1f} s after the start")


def _stay(networks: Sequence[_Running]) -> None:
    for running in networks:
        prepared = running.network.prepared
        print(f"\n{prepared.url}   studies: {', '.join(prepared.studies)}")
        print(f"  export CAIRN_URL={prepared.url}")
        print(f"  export CAIRN_TOKEN={prepared.tokens.researcher.text}")
        for node in prepared.nodes:
            print(f"  node {node.organisation.name:<16} {node.url}  {node.home.root}")
    print("\nCtrl-C stops everything.", flush=True)


def _head(title: str) -> None:
    print(f"\n{RULE}\n{title}\n{RULE}", flush=True)


def _say(line: str) -> None:
    print(f"  · {line}", file=sys.stderr, flush=True)


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
