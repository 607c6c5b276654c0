"""The tables of balances agree with the plain model, whatever happens between two questions."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from models.cohort.expression import Everyone, Expression
from models.cohort.parse import parse_cohort
from models.contribution import BoundedValue, CellCounts, Summary
from models.dictionary_file import load_dictionary
from node.balances import Balances
from node.charges import Charge
from node.engine import total
from node.engines.copied import copied_tables
from node.engines.protocol import Engine
from node.erasure import erase_member
from node.importer import import_folder
from node.records import Records
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import Aborted, Mechanism, PolicySet, Released
from privacy.mechanism import GaussianSum
from privacy.units import Rho
from tests.support.data_factory import TODAY
from tests.support.ledger_factory import (
    BY,
    YEAR,
    MemoryLedger,
    approval,
    commit,
    digest_of,
    genesis,
    opening_bodies,
    period,
    policy,
    reserve,
)
from tests.support.member_balances import Model, Run, charged
from tests.support.seeded import seeded_entropy

DICTIONARY = load_dictionary(
    """
    [tables.people]
    key = "who"
    rows = "one"
    [tables.people.columns]
    value = { type = "number", lower = -10, upper = 10 }
    group = { levels = ["a", "b", "c"] }
    """,
    "dictionary.toml",
)
# Members by key, in order: value (far outside its bounds for the last) and group.
VALUES, GROUPS = ("10", "5", "0", "-2.5", "1e9"), "abacb"
PEOPLE = {f"m{at}": each for at, each in enumerate(zip(VALUES, GROUPS, strict=True))}
SCALE = 1000
EVENT = GaussianSum(delta_grid=SCALE, nodes=4, margin=1, log2_sigma=10, memberships=2)
SUM = BoundedValue(DICTIONARY.resolve("value"), Summary.VALUE, 0.0, 10.0, SCALE, 0, False)
COUNT = CellCounts((), 700, 1)
SQUARES = {SUM: (10**6, 250_000, 0, 62_500, 10**6), COUNT: (490_000,) * 5}
BOUND = Rho(EVENT.rho.units * 3)
CEILING = EVENT.rho * 10**6


@dataclass
class Kept:
    """What `Balances` asks of a ledger's store."""

    memory: MemoryLedger

    @property
    def state(self):  # type: ignore[no-untyped-def]
        return self.memory.state

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        yield from self.memory.lines[start:stop]


def write(folder: Path, people: dict[str, tuple[str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [f"{who},{value},{group}\n" for who, (value, group) in people.items()]
    (folder / "people.csv").write_text("who,value,group\n" + "".join(lines))
    return folder


@dataclass
class Node:
    """Records, ledger and balances of one node, without the rest."""

    folder: Path
    individual: bool = True
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.open()
        self.load(PEOPLE)
        self.ledger.append(genesis("alpha"))
        self.set_policy(self.individual)
        for body in opening_bodies(CEILING, {"als": CEILING})[1:]:
            self.ledger.append(body)

    def open(self) -> None:
        self.records = Records.open(self.folder / "records.duckdb")
        self.balances = Balances(self.records, Kept(self.ledger))

    def set_policy(self, individual: bool) -> None:
        limits = policy(BOUND if individual else CEILING).to_json()
        ceiling = CEILING.text if individual else None
        self.ledger.append(
            PolicySet.from_json(limits | {"ceiling_rho": ceiling, "max_memberships": 2})
        )

    def load(self, people: dict[str, tuple[str, str]]) -> None:
        import_folder(self.records, DICTIONARY, write(self.folder / "files", people))

    # one run

    def reserve(self, rounds: int = 1, attempts: int = 1) -> str:
        name = f"plan {next(self.numbers)}"
        self.ledger.append(
            reserve(
                name, "als", self.ledger.now + timedelta(hours=1), rounds=rounds,
                max_attempts=attempts, mechanism=Mechanism.of(EVENT),
            )
        )  # fmt: skip
        return digest_of(name)

    def read(
        self,
        plan: str,
        round_: int = 0,
        attempt: int = 0,
        *,
        shape: BoundedValue | CellCounts = SUM,
        cohort: Expression | None = None,
        where: Engine | None = None,
    ) -> list[int]:
        engine = where or self.records
        with self.balances.account(Charge(plan, round_, attempt, EVENT), engine) as account:
            found = total(
                engine, shape, cohort or Everyone(), purpose=None, today=TODAY, account=account
            )
        return [int(each) for each in found]

    def commit(self, plan: str, round_: int = 0, attempt: int = 0) -> None:
        self.ledger.append(commit(plan, round_, attempt, b"12345678", Mechanism.of(EVENT)))

    def release(self, plan: str) -> None:
        self.ledger.append(Released(plan=plan, release=digest_of("release")))

    def ask(self, shape: BoundedValue | CellCounts = SUM, cohort: str = "") -> list[int]:
        plan = self.reserve()
        parsed = parse_cohort(cohort, DICTIONARY) if cohort else Everyone()
        found = self.read(plan, shape=shape, cohort=parsed)
        self.commit(plan)
        self.release(plan)
        return found

    def spent(self, members: Sequence[str] = tuple(PEOPLE)) -> list[int]:
        found = [self.balances.of(member) for member in members]
        assert None not in found
        return [each.spent.units for each in found if each]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node")
    yield made
    made.records.close()


def cost(squared: int) -> int:
    return charged(EVENT, squared).units


def test_each_pays_for_what_they_added_after_clipping(node: Node) -> None:
    """The last member's value is a hundred million times the bound; they pay for the bound."""
    assert node.ask() == [1000 + 500 + 0 - 250 + 1000]
    assert node.spent() == [cost(each) for each in SQUARES[SUM]]
    assert cost(10**6) == EVENT.rho.units
    unclipped = charged(EVENT, int(1e9 / 10 * SCALE) ** 2).units
    assert node.spent()[4] < unclipped, "a mutant that charges the norm before clipping is caught"
    assert node.spent()[2] == 0, "who adds nothing pays nothing"


def test_who_is_not_in_the_cohort_pays_nothing(node: Node) -> None:
    node.ask(COUNT, "group == 'a'")
    assert node.spent() == [cost(490_000), 0, cost(490_000), 0, 0]


def test_who_has_used_it_up_is_left_out_and_nothing_says_so(node: Node) -> None:
    totals = [node.ask()[0] for _ in range(5)]
    assert totals == [2250, 2250, 2250, 250, 250], "two of five pay the whole each time"
    assert node.spent()[0] == BOUND.units
    kinds = [entry.body.kind for entry in node.ledger.entries[-3:]]
    assert kinds == ["reserve", "commit", "released"]
    assert node.ledger.state.total_charged == EVENT.rho * 5, "the public charge is what it was"


def test_without_a_ceiling_nobody_is_charged_one_by_one(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", individual=False)
    assert [node.ask()[0] for _ in range(5)] == [2250] * 5
    assert node.balances.of("m0") is None


def test_a_repeated_reading_of_one_opening_is_paid_once(node: Node) -> None:
    """A crash between the charge and the ledger; after the restart the same opening is asked."""
    plan = node.reserve()
    node.read(plan)
    node.records.close()
    node.open()
    node.read(plan)
    node.commit(plan)
    node.balances.settle()
    assert node.spent() == [cost(each) for each in SQUARES[SUM]]


def test_an_opening_that_never_left_is_paid_by_nobody(node: Node) -> None:
    plan = node.reserve()
    node.read(plan)
    assert node.spent()[0] == EVENT.rho.units, "while it may still leave it counts"
    node.ledger.append(Aborted(plan=plan, code="not_enough_nodes"))
    node.ask(COUNT, "group == 'c'")
    assert node.spent() == [0, 0, 0, cost(490_000), 0]


def test_a_crash_after_the_ledger_changes_nothing(node: Node) -> None:
    plan = node.reserve()
    node.read(plan)
    node.commit(plan)
    node.release(plan)
    node.records.close()
    node.open()
    node.balances.settle()
    assert node.spent() == [cost(each) for each in SQUARES[SUM]]
    node.balances.settle()
    assert node.spent() == [cost(each) for each in SQUARES[SUM]]


def test_a_new_attempt_is_paid_again(node: Node) -> None:
    plan = node.reserve(attempts=2)
    for attempt in range(2):
        node.read(plan, attempt=attempt)
        node.commit(plan, attempt=attempt)
    node.release(plan)
    assert node.spent() == [2 * cost(each) for each in SQUARES[SUM]]


def test_an_opening_that_was_charged_is_not_read_again(node: Node) -> None:
    plan = node.reserve()
    node.read(plan)
    node.commit(plan)
    with pytest.raises(Refused) as refused:
        node.read(plan)
    assert refused.value.code is Code.ATTEMPT_LOST


def test_who_cannot_pay_for_the_whole_run_does_not_begin_it(node: Node) -> None:
    """Two rounds: after one question only a third of a bound is left, and the run may cost two."""
    node.ask()
    node.ask()
    plan = node.reserve(rounds=2)
    assert node.read(plan) == [250], "m1 and m3 paid less so far"
    node.commit(plan)
    assert node.read(plan, 1) == [250], "nobody joins in a later round"
    node.commit(plan, 1)


def test_a_later_import_keeps_every_balance_and_numbers_anew(node: Node) -> None:
    node.ask()
    before = dict(zip(PEOPLE, node.spent(), strict=True))
    gone = {who: each for who, each in PEOPLE.items() if who != "m1"}
    node.load({"a-new-one": ("10", "c"), **gone})
    node.ask(COUNT, "group == 'c'")
    paid = cost(490_000)
    assert node.spent(("m0", "m2", "m3")) == [before["m0"], before["m2"], before["m3"] + paid]
    node.load(PEOPLE)
    node.balances.settle()
    assert node.spent(("m1",)) == [before["m1"]], "absent from one import, and known in the next"


def test_an_import_in_the_middle_keeps_what_was_read(node: Node) -> None:
    plan = node.reserve()
    node.read(plan)
    node.load({"a-new-one": ("10", "c"), **PEOPLE})
    node.commit(plan)
    node.release(plan)
    node.balances.settle()
    assert node.spent() == [cost(each) for each in SQUARES[SUM]]


def test_somebody_unknown_starts_at_the_public_loss_unless_a_steward_says_who_they_are(
    node: Node,
) -> None:
    node.ask(COUNT, "group == 'c'")
    node.load({"a-new-one": ("10", "a"), "another": ("10", "a"), **PEOPLE})
    node.balances.settle()
    assert node.spent(("a-new-one", "another", "m0")) == [EVENT.rho.units, EVENT.rho.units, 0]
    node.balances.new_person("a-new-one", by=BY, at="2026-01-01T00:00:00Z", reference="ticket 7")
    node.ask()
    assert node.spent(("a-new-one", "another")) == [EVENT.rho.units, 2 * EVENT.rho.units]
    for who in ("a-new-one", "m0", "nobody"):
        with pytest.raises(BadInput):
            node.balances.new_person(who, by=BY, at="", reference="")


def test_a_new_period_renews_and_what_was_lost_before_is_remembered(node: Node) -> None:
    node.ask()
    first = node.spent()
    node.ledger.now += YEAR + timedelta(days=1)
    starts = node.ledger.append(period(CEILING, 1))
    assert starts.body.kind == "period"
    assert node.spent() == [0] * 5
    node.ask()
    assert node.spent() == first
    found = node.balances.of("m0")
    assert found is not None
    assert found.earlier.units == first[0]


def test_a_life_s_limit_is_kept_over_periods(tmp_path: Path) -> None:
    """Four questions in a life, three in a period: m0 pays the whole each time, m1 a quarter."""
    node = Node(tmp_path / "node")
    said = policy(BOUND).to_json() | {"ceiling_rho": CEILING.text, "max_memberships": 2}
    lifetime = (EVENT.rho * 4).text
    node.ledger.append(PolicySet.from_json(said | {"lifetime_rho": lifetime}))
    assert [node.ask()[0] for _ in range(3)] == [2250] * 3
    node.ledger.now += YEAR
    node.ledger.append(period(CEILING, 1))
    assert [node.ask()[0] for _ in range(2)] == [2250, 250]
    node.records.close()


def test_an_import_renews_nothing(node: Node) -> None:
    for _ in range(3):
        node.ask()
        node.load(PEOPLE)
    assert node.ask() == [250]


def test_what_was_charged_to_all_while_it_was_off_is_in_every_balance(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", individual=False)
    node.ask(COUNT, "group == 'a'")
    node.set_policy(True)
    node.ask(COUNT, "group == 'b'")
    everybody, own = EVENT.rho.units, cost(490_000)
    assert node.spent() == [everybody, everybody + own, everybody, everybody, everybody + own]
    node.set_policy(False)
    node.ask(COUNT, "group == 'a'")
    node.set_policy(True)
    node.balances.settle()
    assert node.spent()[3] == 2 * everybody


def test_older_balances_are_charged_what_the_ledger_knows(node: Node, tmp_path: Path) -> None:
    """The records' file of a backup; the ledger is the newest."""
    node.ask(COUNT, "group == 'a'")
    node.balances.settle()
    node.records.close()
    shutil.copy(node.folder / "records.duckdb", tmp_path / "backup")
    node.open()
    node.ask()
    node.ask()
    node.records.close()
    shutil.copy(tmp_path / "backup", node.folder / "records.duckdb")
    node.open()
    node.balances.settle()
    assert node.spent()[2] == cost(490_000) + 2 * EVENT.rho.units
    assert node.spent()[3] == 2 * EVENT.rho.units


def test_erasure_takes_the_balance_and_the_key_never_returns(node: Node) -> None:
    node.ask()
    entropy = seeded_entropy("erasure")
    erase_member(node.records, "m0", by=BY, at="2026-01-01", reference="", entropy=entropy)
    with node.records.snapshot() as cursor:
        found = cursor.execute("SELECT count(*) FROM member_balances WHERE member = 'm0'")
        assert found.fetchone() == (0,)
    node.load({"m9": PEOPLE["m0"], **PEOPLE})
    assert node.ask() == [2250], "m0 is not imported; m9 is somebody unknown with room left"
    assert node.spent(("m9",)) == [2 * EVENT.rho.units]


def test_nothing_of_a_balance_is_copied_to_another_database(node: Node) -> None:
    node.ask()
    with node.records.snapshot() as cursor:
        assert {each.name for each in copied_tables(cursor)} == {"members"}
        columns = {name for each in copied_tables(cursor) for name in each.columns}
    assert not columns & {"spent", "earlier", "units"}
    assert "m0" not in repr(node.balances.of("m0"))
    assert repr(node.balances) == "<Balances>"


@pytest.mark.parametrize("seed", range(6))
def test_random_histories_agree_with_the_model(tmp_path: Path, seed: int) -> None:
    """Runs of several rounds and attempts that are answered, lost, cut off or left open."""
    rng = random.Random(seed)
    node, model = Node(tmp_path / "node"), Model(len(PEOPLE), BOUND)
    groups = {"": "abc", "group == 'a'": "a", "group in ['b', 'c']": "bc"}
    for _ in range(14):
        cohort, named = rng.choice(list(groups.items()))
        shapes = [rng.choice([SUM, COUNT]) for _ in range(rng.choice([1, 1, 2]))]
        inside = [group in named for _, group in PEOPLE.values()]
        squares = [tuple(n * i for n, i in zip(SQUARES[s], inside, strict=True)) for s in shapes]
        attempts = rng.choice([1, 2]) if len(shapes) == 1 else 1
        plan = node.reserve(rounds=len(shapes), attempts=attempts)
        run = Run(plan, [(EVENT, each) for each in squares], attempts)
        parsed = parse_cohort(cohort, DICTIONARY) if cohort else Everyone()
        left_open = False
        for number, shape in enumerate(shapes):
            for attempt in range(rng.randint(1, attempts)):
                who = model.read(run, number, attempt)
                found = node.read(plan, number, attempt, shape=shape, cohort=parsed)
                assert found == [_sum(shape, who)]
                if rng.random() < 0.2:
                    node.read(plan, number, attempt, shape=shape, cohort=parsed)
                    model.read(run, number, attempt)
                if rng.random() < 0.7:
                    node.commit(plan, number, attempt)
                    model.commit(run, number, attempt, who)
                else:
                    left_open = True
            if left_open:
                break
        node.ledger.append(Aborted(plan=plan, code="cancelled"))
        for place in [each for each in model.waiting if each[0] == plan]:
            model.abandon(run, *place[1:])
        node.balances.settle()
        assert node.spent() == list(model.figures.values())
    for lost in model.lost:
        assert lost <= BOUND.fraction
    node.records.close()


def _sum(shape: BoundedValue | CellCounts, who: Sequence[int]) -> int:
    if isinstance(shape, CellCounts):
        return 700 * len(who)
    return sum((1000, 500, 0, -250, 1000)[member] for member in who)


def test_approvals_and_policies_do_not_read_balances(node: Node) -> None:
    """The ledger admits as before, whatever members have left."""
    for _ in range(6):
        node.ask()
    node.ledger.append(approval("als", CEILING))
    assert node.ledger.state.left == CEILING - EVENT.rho * 6
