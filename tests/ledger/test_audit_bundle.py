"""An auditor alone with a bundle: what is whole verifies, what was touched is named.

Three kinds of attacker: one who edits files; a coordinator who signs whatever is needed; and a
coordinator together with a node. Each is stopped by what the ones before could not forge.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from coordinator.audit.bundle import write_bundle
from coordinator.audit.bundle_facts import Held, LedgerFacts, ReleaseFacts
from coordinator.audit.verify import Pinned, verify_bundle
from coordinator.statement import totals_digest
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.contract.study import Investigator
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.chain import replay
from privacy.ledger.entry import Commit, Entry, Mechanism, Released, Reserve, ReservedRound
from privacy.mechanism import GaussianSum
from privacy.units import Rho
from tests.support.bundle_factory import COORDINATOR, DELTA, NODES, Network, resign
from tests.support.ledger_factory import COST, MemoryLedger, digest_of, signing_key

NODE = NODES[0]
STRANGER = Investigator(key=COORDINATOR.public.text)
ENTRIES = f"nodes/{NODE}/entries.jsonl"


def built() -> Network:
    """Two questions; the coordinator and a peer vouch for every ledger."""
    network = Network()
    network.ask("0.5")
    for node in NODES:
        network.hold(NODES[1] if node == NODES[0] else NODES[0], node)
    network.ask("0.25")
    for node in NODES:
        network.witness("coordinator", node)
        network.witness_log(node)
        network.witness(NODES[2] if node != NODES[2] else NODES[0], node)
    return network


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built().write(tmp_path_factory.mktemp("original") / "bundle")


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def where(folder: Path, **options: Any) -> str:
    """What verification names; fails if it passes."""
    with pytest.raises(VerificationFailed) as caught:
        verify_bundle(folder, **options)
    return caught.value.where


def lines_of(folder: Path, node: str = NODE) -> list[bytes]:
    return (folder / f"nodes/{node}/entries.jsonl").read_bytes().splitlines()


def write_lines(folder: Path, lines: list[bytes], node: str = NODE) -> None:
    data = b"".join(line + b"\n" for line in lines)
    (folder / f"nodes/{node}/entries.jsonl").write_bytes(data)


# whole


def test_a_whole_bundle_verifies_and_its_figures_are_recomputed(original: Path) -> None:
    seen: list[tuple[str, float]] = []
    report = verify_bundle(original, progress=lambda *said: seen.append(said))
    plans = [json.loads(path.read_bytes())["body"] for path in (original / "plans").iterdir()]
    charged = sum((Fraction(plan["rho"]) for plan in plans), Fraction(0))
    assert (report.plans, report.releases, report.transcripts) == (2, 2, 2)
    assert [node.node for node in report.nodes] == sorted(NODES)
    for node in report.nodes:
        assert node.entries == node.size == 12
        assert node.spent.rho.fraction == charged
        assert node.spent.epsilon == epsilon_of_rho(Rho.round_up(charged), DELTA)
        assert node.studies["als-progression"].rho == node.spent.rho
        assert node.witnessed_size == 12
        assert len(node.cosigners) == 2
        assert [change.kind for change in node.changes] == [
            "policy", "period", "roster", "approval",
        ]  # fmt: skip
    shares = [share for _, share in seen]
    assert len(seen) > 10
    assert shares == sorted(shares)
    assert (shares[0] < 0.2, shares[-1]) == (True, 1.0)
    assert report.log.lines == 11
    assert report.log.cosigners == tuple(sorted(NODES))
    assert not report.pinned
    assert json.loads(canonical_bytes(_without_floats(report.to_json())))["plans"] == 2


def _without_floats(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_floats(item) for name, item in value.items()}
        case list():
            return [_without_floats(item) for item in value]
        case float():
            return str(value)
        case _:
            return value


def test_pinned_keys_are_compared(original: Path) -> None:
    nodes = {node: signing_key(node).public for node in NODES}
    assert verify_bundle(original, pinned=Pinned(COORDINATOR.public, nodes)).pinned
    assert where(original, pinned=Pinned(signing_key("other").public)) == "manifest.json"
    wrong = Pinned(nodes={NODE: signing_key("other").public})
    assert where(original, pinned=wrong) == "network.json"


def test_a_network_that_has_answered_nothing(tmp_path: Path) -> None:
    report = verify_bundle(Network().write(tmp_path / "bundle"))
    assert (report.plans, report.nodes[0].spent.epsilon) == (0, 0.0)


def test_a_node_whose_ledger_is_not_there_is_reported(tmp_path: Path) -> None:
    network = Network()
    ledgers = [ledger for ledger in network.facts().ledgers if ledger.node != NODE]
    report = verify_bundle(network.write(tmp_path / "bundle", ledgers=ledgers))
    assert report.absent == (NODE,)


def test_entries_beyond_the_checkpoint_wait_for_the_next_bundle(tmp_path: Path) -> None:
    network = Network()
    ledgers = [
        LedgerFacts(node, book.lines, book.note(5), ()) for node, book in network.ledgers.items()
    ]
    report = verify_bundle(network.write(tmp_path / "bundle", ledgers=ledgers))
    assert [node.entries for node in report.nodes] == [5, 5, 5]


def test_a_bundle_is_written_into_an_empty_folder_only(bundle: Path) -> None:
    with pytest.raises(BadInput):
        Network().write(bundle)
    with pytest.raises(BadInput):
        verify_bundle(bundle.parent)
    odd = LedgerFacts("../x", [], Network().ledgers[NODE].note(), ())
    with pytest.raises(BadInput):
        Network().write(bundle.parent / "odd", ledgers=[odd])


# somebody who edits files


def files_of(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_any_changed_byte_of_any_file_is_found_and_the_file_named(bundle: Path) -> None:
    names = files_of(bundle)
    assert len(names) == 3 + 3 + 3 * 3 + 2 * 3
    for name in names:
        path = bundle / name
        data = path.read_bytes()
        for at in {0, len(data) - 1, *range(7, len(data), 1 + len(data) // 25)}:
            path.write_bytes(bytes([*data[:at], data[at] ^ 4, *data[at + 1 :]]))
            assert where(bundle).startswith(name)
        path.write_bytes(data[:-1])
        assert where(bundle).startswith(name)
        path.write_bytes(data + b"\n")
        assert where(bundle).startswith(name)
        path.write_bytes(data)
    verify_bundle(bundle)


def test_missing_extra_and_linked_files_are_named(bundle: Path) -> None:
    for name in files_of(bundle):
        if name == "manifest.json":
            continue
        moved = bundle.parent / "aside"
        (bundle / name).rename(moved)
        assert where(bundle) == name
        (bundle / name).symlink_to(moved)
        assert where(bundle) == name
        (bundle / name).unlink()
        moved.rename(bundle / name)
    (bundle / "notes.txt").write_text("x")
    assert where(bundle) == "notes.txt"


@pytest.mark.parametrize("signed_again", [False, True])
def test_every_edit_of_a_ledger_names_its_first_bad_entry(bundle: Path, signed_again: bool) -> None:
    """With the manifest brought into line, only node and witnesses stand against the edit."""
    lines = lines_of(bundle)

    def named(changed: list[bytes]) -> str:
        write_lines(bundle, changed)
        if signed_again:
            resign(bundle)
        return where(bundle)

    for seq, line in enumerate(lines):
        other = line.replace(b'"at":"2026-01-01', b'"at":"2026-01-02')
        assert named([*lines[:seq], other, *lines[seq + 1 :]]).startswith(ENTRIES)
        assert named(lines[:seq] + lines[seq + 1 :]) == f"{ENTRIES}: entry {seq}"
        assert named(lines[: seq + 1] + lines[seq:]) == f"{ENTRIES}: entry {seq + 1}"
        assert named(lines[:seq]) == f"{ENTRIES}: entry {seq}"
        if seq + 1 < len(lines):
            swapped = [*lines[:seq], lines[seq + 1], line, *lines[seq + 2 :]]
            assert named(swapped) == f"{ENTRIES}: entry {seq}"
    for seq, line in enumerate(lines):
        for old, new in ((b"steward", b"stewerd"), (b"by treatment", b"in all cells")):
            if old in line:
                changed = [*lines[:seq], line.replace(old, new), *lines[seq + 1 :]]
                assert named(changed) == f"{ENTRIES}: entry {seq}"


def test_an_edit_with_the_manifests_digests_brought_into_line_names_the_entry(
    bundle: Path,
) -> None:
    """Who cannot sign the manifest can still write the digests that it should have."""
    lines = lines_of(bundle)
    manifest = (bundle / "manifest.json").read_bytes()
    old = hashlib.sha256((bundle / ENTRIES).read_bytes()).hexdigest().encode()
    for seq in range(len(lines)):
        write_lines(bundle, lines[:seq] + lines[seq + 1 :])
        new = hashlib.sha256((bundle / ENTRIES).read_bytes()).hexdigest().encode()
        (bundle / "manifest.json").write_bytes(manifest.replace(old, new))
        assert where(bundle) == f"{ENTRIES}: entry {seq}"
    write_lines(bundle, lines)
    (bundle / "manifest.json").write_bytes(manifest.replace(old, b"0" * 64))
    assert where(bundle) == "manifest.json"


def test_one_ledger_in_place_of_another_is_found(bundle: Path) -> None:
    for name in ("entries.jsonl", "checkpoint.txt", "witnesses.jsonl"):
        shutil.copy(bundle / f"nodes/{NODES[1]}/{name}", bundle / f"nodes/{NODE}/{name}")
    resign(bundle)
    assert where(bundle) == f"nodes/{NODE}/checkpoint.txt"


# a coordinator who signs whatever is needed


def changed_plan(network: Network, **changes: Any) -> None:
    body = parse_canonical(network.plans[-1].body) | changes
    network.plans[-1] = Envelope.seal("plan", body, COORDINATOR)


def changed_release(network: Network, **changes: Any) -> None:
    last = network.releases[-1]
    body = parse_canonical(last.envelope.body) | changes
    network.releases[-1] = ReleaseFacts(
        Envelope.seal("release", body, COORDINATOR), last.transcripts
    )


def changed_round(network: Network, **changes: Any) -> None:
    body = parse_canonical(network.releases[-1].envelope.body)
    changed_release(network, rounds=[body["rounds"][0] | changes])


def other_totals(network: Network) -> None:
    """All figures of the release agree, and are not what the nodes' vectors give."""
    changed_release(network, totals=["1", "2", "3"])
    changed_round(network, totals=totals_digest([1, 2, 3]))


def without_transcript(network: Network) -> None:
    """Other figures, and nothing to make them from."""
    other_totals(network)
    changed_round(network, transcript=None)
    network.releases[-1] = replace(network.releases[-1], transcripts=())


def planned(network: Network, **changes: Any) -> dict[str, Any]:
    """The only round of the last plan, with changes."""
    return {"rounds": [parse_canonical(network.plans[-1].body)["rounds"][0] | changes]}


def unfinished() -> Network:
    network = Network()
    network.ask(finish=False)
    return network


def less_noise(network: Network) -> dict[str, int]:
    """The last plan's mechanism with one grid unit more of sensitivity."""
    mechanism: dict[str, int] = planned(network)["rounds"][0]["mechanism"]
    return mechanism | {"delta_grid": mechanism["delta_grid"] + 1}


LIES: list[tuple[str, Callable[[Network], None], str]] = [
    ("rho of a plan", lambda n: changed_plan(n, rho=Rho(1).text), "plans/"),
    ("mechanism of a plan", lambda n: changed_plan(n, **planned(n, mechanism=less_noise(n))),
     "plans/"),
    ("identity", lambda n: changed_plan(n, identity="0" * 64), "plans/"),
    ("cohort", lambda n: changed_plan(n, cohort="age >= 18"), "plans/"),
    ("margin", lambda n: changed_plan(n, t_collude=2), "plans/"),
    ("participants", lambda n: changed_plan(n, participants=sorted(NODES)[:2]),
     "plans/"),
    ("a plan made up afterwards", lambda n: changed_plan(n, nonce="f" * 32), "releases/"),
    ("length of a round", lambda n: changed_plan(n, **planned(n, length=2)), "plans/"),
    ("a round more", lambda n: changed_plan(n, rounds=2 * planned(n)["rounds"]), "plans/"),
    ("totals", lambda n: changed_release(n, totals=["1", "2", "3"]), "releases/"),
    ("totals and their hash", other_totals, "transcripts/"),
    ("no round", lambda n: changed_release(n, rounds=[]), "releases/"),
    ("rho of a round", lambda n: changed_round(n, rho=Rho(1).text), "releases/"),
    ("a state that was not asked with", lambda n: changed_round(n, state="0" * 64), "states/"),
    ("number of totals", lambda n: changed_release(n, totals=["1"]), "releases/"),
    ("a total that is none", lambda n: changed_release(n, totals=["1", "2", "03"]),
     "releases/"),
    ("epsilon understated", lambda n: changed_release(n, epsilon="0.4999"), "releases/"),
    ("epsilon overstated", lambda n: changed_release(n, epsilon="0.51"), "releases/"),
    ("epsilon as words", lambda n: changed_release(n, epsilon="half"), "releases/"),
    ("rho of a release", lambda n: changed_release(n, rho=Rho(1).text), "releases/"),
    ("delta", lambda n: changed_release(n, delta="1/1000"), "releases/"),
    ("mechanism of a release",
     lambda n: changed_round(n, mechanism=less_noise(n)), "releases/"),
    ("survivors", lambda n: changed_round(n, survivors=sorted(NODES)[:2]),
     "releases/"),
    ("another plan", lambda n: changed_release(n, plan="0" * 64), "releases/"),
    ("no receipts", lambda n: changed_round(n, receipts={}), "releases/"),
    ("a hidden transcript", lambda n: n.releases.__setitem__(
        0, replace(n.releases[0], transcripts=())), "transcripts/"),
    ("an unnamed transcript", lambda n: changed_round(n, transcript=None), "releases/"),
    ("a transcript neither named nor there", without_transcript, "releases/"),
    ("a dropped plan", lambda n: n.plans.clear(), "releases/"),
    ("a dropped plan and release", lambda n: (n.plans.clear(), n.releases.clear())[0],
     f"{ENTRIES}: entry 6"),
]  # fmt: skip


@pytest.mark.parametrize(("lie", "tell", "place"), LIES, ids=[lie for lie, _, _ in LIES])
def test_a_coordinator_who_lies_and_signs_it_is_found(
    lie: str, tell: Callable[[Network], None], place: str, tmp_path: Path
) -> None:
    network = unfinished()
    verify_bundle(network.write(tmp_path / "honest"))
    tell(network)
    assert where(network.write(tmp_path / "lie")).startswith(place)


def test_a_release_left_out_is_found_by_the_nodes_that_heard_of_it(tmp_path: Path) -> None:
    network = built()
    network.releases.pop()
    assert where(network.write(tmp_path / "bundle")) == f"{ENTRIES}: entry 11"


def test_two_releases_of_one_plan_are_found(tmp_path: Path) -> None:
    network = unfinished()
    changed = parse_canonical(network.releases[0].envelope.body) | {"released_at": "later"}
    network.releases.append(ReleaseFacts(Envelope.seal("release", changed, COORDINATOR), ()))
    assert where(network.write(tmp_path / "bundle")).startswith("releases/")


@pytest.mark.parametrize("change", [{"seq": 5}, {"seq": None}, {"leaf": "0" * 64},
                                    {"checkpoint": "x"}])  # fmt: skip
def test_a_receipt_that_is_not_the_nodes_is_found(change: dict[str, Any], tmp_path: Path) -> None:
    network = unfinished()
    receipts = parse_canonical(network.releases[0].envelope.body)["rounds"][0]["receipts"]
    receipts[NODE] |= change
    changed_round(network, receipts=receipts)
    assert where(network.write(tmp_path / "bundle")).startswith("releases/")


def test_a_receipt_of_another_nodes_claim_is_found_in_the_transcript(tmp_path: Path) -> None:
    network = unfinished()
    network.tick()
    receipts = parse_canonical(network.releases[0].envelope.body)["rounds"][0]["receipts"]
    receipts[NODE]["checkpoint"] = network.ledgers[NODE].note(receipts[NODE]["seq"] + 1)
    changed_round(network, receipts=receipts)
    verify_bundle(network.write(tmp_path / "same"))
    book = network.ledgers[NODE]
    book.append(Released(plan=network.plans[0].digest, release=digest_of("x")))
    receipts[NODE]["checkpoint"] = book.note()
    changed_round(network, receipts=receipts)
    assert ENTRIES in where(network.write(tmp_path / "bundle"))


def test_another_transcript_of_the_same_release_is_found(tmp_path: Path) -> None:
    network = Network()
    network.ask("0.5", finish=False)
    network.ask("0.25", finish=False)
    (data,) = network.releases[0].transcripts
    network.releases[1] = replace(network.releases[1], transcripts=(data,))
    changed_round(network, transcript=sha256_hex(data))
    assert where(network.write(tmp_path / "bundle")).startswith("transcripts/")


# a coordinator and a node together


def rebuilt(network: Network, change: Callable[[Entry], Entry | None]) -> MemoryLedger:
    """The node writes its ledger anew, with every link and signature in order."""
    old = network.ledgers[NODE]
    book = MemoryLedger(NODE, old.now)
    entries: list[Entry] = []
    for entry in old.entries:
        made = change(entry)
        if made is not None:
            prev = entries[-1].leaf.hex() if entries else "0" * 64
            entries.append(Entry(seq=len(entries), prev=prev, at=made.at, body=made.body))
    for entry in entries:
        book.tree.append(entry.leaf)
    book.entries = entries
    book.state = replace(old.state, size=len(entries))
    network.ledgers[NODE] = book
    return book


def cheaper(entry: Entry) -> Entry:
    if not isinstance(entry.body, Commit):
        return entry
    return entry.model_copy(update={"body": entry.body.model_copy(update={"rho": Rho(1).text})})


def without_a_charge(entry: Entry) -> Entry | None:
    return None if isinstance(entry.body, Commit | Released) else entry


def louder(entry: Entry) -> Entry:
    """A mechanism that looks cheaper, with its own right price."""
    if not isinstance(entry.body, Commit | Reserve):
        return entry
    if isinstance(entry.body, Reserve):
        terms = _louder(entry.body.rounds[0].mechanism)
        changes = {"rounds": (ReservedRound(**terms),), "rho": terms["rho"]}
    else:
        changes = _louder(entry.body.mechanism)
    return entry.model_copy(update={"body": entry.body.model_copy(update=changes)})


def _louder(mechanism: Mechanism) -> dict[str, Any]:
    event = replace(mechanism.event, delta_grid=10)
    return {"mechanism": Mechanism.of(event), "rho": event.rho.text}


def test_a_node_that_charges_less_is_found_in_its_own_ledger(tmp_path: Path) -> None:
    network = unfinished()
    rebuilt(network, cheaper)
    assert where(network.write(tmp_path / "bundle")) == f"{ENTRIES}: entry 7"


def test_a_node_that_records_another_mechanism_is_found_by_the_plan(tmp_path: Path) -> None:
    network = unfinished()
    book = rebuilt(network, louder)
    replay(book.lines)  # alone, it is a legal ledger
    assert where(network.write(tmp_path / "bundle")) == f"{ENTRIES}: entry 6"


def test_a_node_that_charges_nothing_is_found_by_its_receipt(tmp_path: Path) -> None:
    network = unfinished()
    book = rebuilt(network, without_a_charge)
    replay(book.lines)
    assert where(network.write(tmp_path / "bundle")) == f"{ENTRIES}: entry 7"


def test_a_ledger_rewound_behind_a_cosigned_checkpoint_is_found(tmp_path: Path) -> None:
    """Restored from a backup, nothing released since: only the witness knows."""
    network = built()
    network.ask("0.125", finish=False)
    network.witness(NODES[1], NODE)
    network.plans.pop()
    network.releases.pop()
    for node in NODES:
        book = network.ledgers[node]
        book.entries = book.entries[:12]
        book.state = replace(book.state, size=12)
    assert where(network.write(tmp_path / "bundle")) == f"{ENTRIES}: entry 12"
    network.held[NODE].pop()
    verify_bundle(network.write(tmp_path / "without a witness"))


# witnesses


def test_exactly_the_named_witnesses_must_have_cosigned(bundle: Path) -> None:
    name = f"nodes/{NODE}/witnesses.jsonl"
    rows = (bundle / name).read_bytes().splitlines(keepends=True)
    cosigned = [row for row in rows if b'"cosignature":null' not in row]
    assert len(cosigned) == 2
    (bundle / name).write_bytes(b"".join(rows[:-1]))
    resign(bundle)
    assert where(bundle) == name


@pytest.mark.parametrize("fake", ["another key", "another time", "itself", "a stranger", "null"])
def test_a_cosignature_that_is_not_the_witnesss_is_found(fake: str, tmp_path: Path) -> None:
    network = built()
    held = network.held[NODE][-1]
    line = held.cosignature or ""
    match fake:
        case "another key":
            other = Held("coordinator", held.checkpoint, line)
        case "another time":
            dash, name, blob = line.split(" ")
            other = Held(held.by, held.checkpoint, f"{dash} {name} {blob[:12]}A{blob[13:]}")
        case "itself":
            other = Held(NODE, held.checkpoint, line)
        case "a stranger":
            other = Held("stranger", held.checkpoint, None)
        case _:
            other = Held(held.by, "nothing", line)
    network.held[NODE][-1] = other
    try:
        folder = network.write(tmp_path / "bundle")
    except VerificationFailed:
        assert fake == "null"
        return
    assert where(folder).startswith(f"nodes/{NODE}/witnesses.jsonl: line")


# what the bundle says about the rest of the network


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"study_changes": {"investigators": (STRANGER,)}}, "entry 6"),
        ({"study_changes": {"starts": "2026-02-01"}}, "entry 6"),
        ({"study_changes": {"ends": "2025-12-31", "starts": "2025-01-01"}}, "entry 6"),
        ({"quota": COST * 10**6}, "entry 5"),
    ],
)
def test_what_a_study_does_not_allow_is_found(
    changes: dict[str, Any], place: str, tmp_path: Path
) -> None:
    network = Network(**changes)
    network.ask(finish=False)
    assert where(network.write(tmp_path / "bundle")) == f"{ENTRIES}: {place}"


def test_a_study_no_organisation_knows_is_found(tmp_path: Path) -> None:
    network = unfinished()
    assert where(network.write(tmp_path / "bundle", studies=(), steps=())) == f"{ENTRIES}: entry 5"


def test_another_networks_ledger_is_found(tmp_path: Path) -> None:
    network = Network()
    facts = replace(network.facts(), network="other")
    write_bundle(tmp_path / "bundle", facts, COORDINATOR, network.now + timedelta(seconds=1))
    assert where(tmp_path / "bundle").startswith("nodes/")


def test_a_mechanism_that_costs_more_than_was_asked_is_found(tmp_path: Path) -> None:
    network = unfinished()
    plan = Plan.from_json(parse_canonical(network.plans[0].body))
    event = replace(GaussianSum.from_json(plan.rounds[0].mechanism), delta_grid=2**20)
    dearer = planned(network, mechanism=event.to_json(), rho=event.rho.text)
    changed_plan(network, **dearer, rho=event.rho.text)
    assert where(network.write(tmp_path / "bundle")).startswith("plans/")
