"""The dossier of one organisation, under the headings of the Five Safes."""

from __future__ import annotations

from fractions import Fraction

from coordinator.audit.dossier.checklist import checklist_section
from coordinator.audit.dossier.document import (
    Block,
    Document,
    Figure,
    Section,
    Table,
    Words,
    count,
    facts,
    short,
)
from coordinator.audit.dossier.evidence import (
    DATA,
    OUTPUTS,
    PEOPLE,
    PROJECTS,
    SETTINGS,
    verified_section,
)
from coordinator.audit.dossier.guarantee import epsilon_text, guarantee
from coordinator.audit.dossier.material import Material, consent_texts
from coordinator.audit.dossier.outputs import (
    budget_table,
    course_figure,
    quota,
    releases_table,
    unanswered_table,
)
from coordinator.audit.history import consent_months, versions_of
from privacy.ledger.fields import parse_rho
from privacy.ledger.policy_words import policy_words
from privacy.ledger.state import LedgerState
from privacy.promise import Promise
from privacy.units import Rho


def node_document(material: Material, node: str) -> Document:
    """Everything that the bundle shows of one organisation."""
    report, state = material.found.report, material.found.ledgers[node].replay.state
    about = (
        ("organisation", f"{material.name(node)} ({node})"),
        ("network", report.network),
        ("evidence as of", report.made_at),
    )
    policy = state.policy
    return Document(
        name=f"node-{node}",
        title=f"Dossier of an organisation: {material.name(node)}",
        about=about,
        sections=(
            _guarantee(state),
            _projects(material, node, state.delta),
            _people(material, node),
            _settings(material, node, state),
            _data(material, node),
            _outputs(material, node, state),
            verified_section(material),
            checklist_section(material, 1 if policy is None else policy.max_memberships),
        ),
    )


def _guarantee(state: LedgerState) -> Section:
    """What a member who was in every question lost, and may lose.

    Where members are charged one by one, a period holds them to a bound of their own.
    """
    policy = state.policy
    own = state.budget
    if policy is not None and policy.individual:
        own = min(own, parse_rho(policy.yearly_rho))
    losses = (
        ("of this period so far", state.period_charged),
        ("of a whole period, at most", own),
        ("of everything ever charged", state.total_charged),
    )
    memberships = 1 if policy is None else policy.max_memberships
    return guarantee(losses, state.delta, memberships, Promise.of(state))


def _when(at: str) -> str:
    return at[:16].replace("T", " ")


def _projects(material: Material, node: str, delta: Fraction) -> Section:
    rows = tuple(
        (
            _when(each.at),
            each.body.study,
            each.words(delta),
            each.body.by,
            each.reason,
            f"{each.seq}",
        )
        for each in material.decided
        if each.node == node
    )
    table = Table(
        "Decisions about studies and questions over time",
        ("when", "study", "decision", "by", "reason", "entry"),
        rows,
        frozenset({5}),
        empty="Nothing was decided.",
    )
    title = "Safe projects: what was this organisation asked to take part in?"
    return Section(PROJECTS, title, (table,))


def _people(material: Material, node: str) -> Section:
    stewards: dict[str, int] = {}
    for name, change in material.changes(
        "policy", "period", "roster", "approval", "endorsement", "question", "consent-text"
    ):
        if name == node:
            stewards[change.by] = stewards.get(change.by, 0) + 1
    rows = tuple((name, f"{count}") for name, count in sorted(stewards.items()))
    asked: dict[tuple[str, str], int] = {}
    for each in material.of_node(node):
        key = (each.researcher, each.reserve.study)
        asked[key] = asked.get(key, 0) + 1
    keys = tuple((key, study, f"{count}") for (key, study), count in sorted(asked.items()))
    return Section(
        PEOPLE,
        "Safe people: who decided here, and who was answered?",
        (
            Table("Who decided, by the names given", ("name", "decisions"), rows, frozenset({1})),
            Table(
                "Researchers whose questions were answered, by the beginning of their key's"
                " fingerprint",
                ("key", "study", "questions"),
                keys,
                frozenset({2}),
                empty="Nobody was answered.",
            ),
        ),
    )


def _settings(material: Material, node: str, state: LedgerState) -> Section:
    blocks: list[Block] = []
    if state.policy is not None:
        blocks.append(facts("The policy in force", policy_words(state.policy, state.delta)))
    changed = tuple(
        (f"{version.number}", _when(version.at), version.by, what, text)
        for version in versions_of(node, material.rules[node], state.delta)[1:]
        for what, text in version.changes
    )
    columns = ("version", "from", "by", "what", "changed")
    empty = "The first policy was never changed."
    blocks.append(Table("What later policies changed", columns, changed, empty=empty))
    return Section(
        SETTINGS,
        "Safe settings: under which rules did it run?",
        (*blocks, _taken(material, node), _refused(material, node), _broken(material, node)),
    )


def _refused(material: Material, node: str) -> Table:
    (report,) = [each for each in material.found.report.nodes if each.node == node]
    rows = tuple(
        (_when(each.at), each.what.value, each.words, f"{each.seq}") for each in report.refused
    )
    return Table(
        "Refused, and nothing that an honest coordinator asks: the first of each sort a day",
        ("when", "sort", "what", "entry"),
        rows,
        frozenset({3}),
        empty="Nothing of the kind.",
    )


def _broken(material: Material, node: str) -> Table:
    (report,) = [each for each in material.found.report.nodes if each.node == node]
    rows = tuple(
        (_when(each.at), each.of or node, each.kind, each.what, each.by, f"{each.seq}")
        for each in report.breaks
    )
    return Table(
        "Histories that broke: the coordinator's log, another's ledger, or this one",
        ("when", "whose", "kind", "what", "by", "entry"),
        rows,
        frozenset({5}),
        empty="None broke.",
    )


def _taken(material: Material, node: str) -> Table:
    rows = tuple(
        (
            _when(each.at),
            each.kind,
            each.what,
            _when(each.until) or "still so",
            f"{each.under_way}",
            f"{each.charged_after}",
        )
        for each in material.withdrawn
        if each.node == node
    )
    return Table(
        "Taken back: approvals withdrawn, keys revoked, pauses. Each holds from its entry on;"
        " charged after counts what left all the same.",
        ("when", "kind", "what", "until", "under way", "charged after"),
        rows,
        frozenset({4, 5}),
        empty="Nothing was taken back.",
    )


def _data(material: Material, node: str) -> Section:
    stands, missing = consent_months(material.rules[node])
    texts = tuple(
        (at, body.purpose, body.language, body.by, short(body.text))
        for at, body in consent_texts(material, node)
    )
    span = f"{stands[0]} to {stands[-1]}" if stands else "no month"
    gaps = f"; missing: {', '.join(missing)}" if missing else ""
    said = (
        "The ledger holds nothing of members but a salted hash of the table of consent, one a"
        f" month: {span}{gaps}. Members' own withdrawals count from the next question on, and are"
        " in no ledger."
    )
    columns = ("from", "purpose", "language", "by", "text")
    empty = "No text is recorded."
    return Section(
        DATA,
        "Safe data: what does it hold, and under which consent?",
        (Words(said), Table("Texts of consent, by hash", columns, texts, empty=empty)),
    )


def _outputs(material: Material, node: str, state: LedgerState) -> Section:
    asked = material.of_node(node)
    course: Figure | None = course_figure(material, node)
    period = (("this period", state.period_charged, state.total_held, state.budget),)
    studies = tuple(
        (study, spent, state.held.get(study, Rho.ZERO), quota(state, study))
        for study, spent in sorted(state.charged.items())
    )
    lifetime = epsilon_text(state.total_charged, state.delta)
    return Section(
        OUTPUTS,
        "Safe outputs: what left this building, and what did it cost?",
        (
            Words(f"Over all periods a member here lost at most epsilon {lifetime}."),
            *_linked(state),
            *(() if course is None else (course,)),
            budget_table((*period, *studies), state.delta, "The period's budget, and each study's"),
            _egress(material, node),
            releases_table(material, asked, state.delta),
            unanswered_table(asked, state.delta),
        ),
    )


def _linked(state: LedgerState) -> tuple[Words, ...]:
    if state.linkage_charged == Rho.ZERO:
        return ()
    number = len(state.link_sessions)
    cost = epsilon_text(state.linkage_charged, state.delta)
    return (Words(f"Of that, {count(number, 'linkage')} cost epsilon {cost}."),)


def _egress(material: Material, node: str) -> Table:
    commits = material.found.ledgers[node].commits
    whole = sum(body.bytes for body in commits.values())
    stayed = sum(not body.bytes for body in commits.values())
    row = (f"{len(commits):,}", f"{whole:,}", f"{stayed:,}")
    return Table(
        "What left: masked vectors. Every one's hash and length is in its entry.",
        ("vectors charged", "bytes in all", "charged without leaving"),
        (row,),
        frozenset({0, 1, 2}),
    )
