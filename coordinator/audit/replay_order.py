"""Several ledgers read as one history, an entry at a time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from privacy.errors import Code
from privacy.ledger.entry import Aborted, Commit, Entry, Reserve

BUDGET_CODES = frozenset(
    {
        Code.BUDGET_EXCEEDED.value,
        Code.STUDY_BUDGET_EXCEEDED.value,
        Code.RESEARCHER_BUDGET_EXCEEDED.value,
        Code.QUESTION_LIMIT.value,
        Code.DELEGATION_EXCEEDED.value,
    }
)
Read = Callable[[], Iterator[Entry]]


@dataclass(frozen=True)
class Survey:
    """What is known before the replay: who reserved a plan, and which ended for want of budget."""

    reserves: Counter[str]
    short: Mapping[str, str]  # plan: code


def survey_of(ledgers: Mapping[str, Read]) -> Survey:
    reserves: Counter[str] = Counter()
    charged: set[str] = set()
    short: dict[str, str] = {}
    for read in ledgers.values():
        for entry in read():
            match entry.body:
                case Reserve(plan=plan):
                    reserves[plan] += 1
                case Commit(plan=plan):
                    charged.add(plan)
                case Aborted(plan=plan, code=code) if code in BUDGET_CODES:
                    short[plan] = code
                case _:
                    pass
    return Survey(reserves, {plan: code for plan, code in short.items() if plan not in charged})


def in_order(
    ledgers: Mapping[str, Read], reserves: Mapping[str, int]
) -> Iterator[tuple[str, Entry]]:
    """Every entry of every ledger, each ledger in its own order and nothing before its cause.

    By time; but since clocks differ and instants are whole seconds, a charge waits until every
    reservation of its plan (`reserves` of them) was seen: nobody reads before all have reserved.
    """
    due = Counter(reserves)
    streams = {name: read() for name, read in ledgers.items()}
    heap: list[tuple[str, str, int]] = []
    heads: dict[str, Entry] = {}
    waiting: dict[str, list[str]] = {}

    def push(name: str) -> None:
        entry = next(streams[name], None)
        if entry is not None:
            heads[name] = entry
            heapq.heappush(heap, (entry.at, name, entry.seq))

    def wake(names: Iterable[str]) -> None:
        for name in names:
            heapq.heappush(heap, (heads[name].at, name, heads[name].seq))

    for name in streams:
        push(name)
    while heap or waiting:
        if not heap:  # no honest ledgers: go on as the clocks say
            due.clear()
            wake(each for names in waiting.values() for each in names)
            waiting.clear()
        _, name, _ = heapq.heappop(heap)
        entry = heads[name]
        if isinstance(entry.body, Commit) and due[entry.body.plan] > 0:
            waiting.setdefault(entry.body.plan, []).append(name)
            continue
        yield name, entry
        if isinstance(entry.body, Reserve):
            due[entry.body.plan] -= 1
            if not due[entry.body.plan]:
                wake(waiting.pop(entry.body.plan, ()))
        push(name)
