"""The dossier of one study, under the headings of the Five Safes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from coordinator.audit.dossier.checklist import checklist_section
from coordinator.audit.dossier.document import (
    Block,
    Document,
    Items,
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
from coordinator.audit.dossier.material import (
    Material,
    columns_named,
    consent_texts,
    methods_used,
)
from coordinator.audit.dossier.outputs import (
    budget_figure,
    budget_table,
    quota,
    releases_table,
    unanswered_table,
)
from privacy.contract.study import Study
from privacy.contract.study_words import changes, describe
from privacy.ledger.entry_words import key_words
from privacy.ledger.policy_words import policy_words
from privacy.ledger.state import LedgerState
from privacy.units import Rho


def study_document(material: Material, study_id: str) -> Document:
    """Everything that the bundle shows of one study, every version of it."""
    study = material.versions(study_id)[-1]
    report = material.found.report
    about = (
        ("study", f"{study.id}, version {study.version}"),
        ("network", report.network),
        ("evidence as of", report.made_at),
    )
    return Document(
        name=f"study-{study.id}",
        title=f"Dossier of a study: {study.title}",
        about=about,
        sections=(
            _guarantee(material, study),
            _projects(material, study),
            _people(material, study),
            _settings(material, study),
            _data(material, study),
            _outputs(material, study),
            verified_section(material),
            checklist_section(material, study.max_memberships),
        ),
    )


def _states(material: Material) -> dict[str, LedgerState]:
    return {node: ledger.replay.state for node, ledger in material.found.ledgers.items()}


def _guarantee(material: Material, study: Study) -> Section:
    spent = max(
        (state.charged.get(study.id, Rho.ZERO) for state in _states(material).values()),
        default=Rho.ZERO,
    )
    allowance = study.rho * study.max_memberships**2
    losses = (("of this study so far", spent), ("of its whole allowance", allowance))
    return guarantee(losses, study.delta_fraction, study.max_memberships)


def _projects(material: Material, study: Study) -> Section:
    versions = material.versions(study.id)
    amended = tuple(
        (f"{new.version}", what, text)
        for old, new in pairwise(versions)
        for what, text in changes(old, new)
    )
    columns = ("version", "what", "changed")
    blocks: tuple[Block, ...] = (
        facts("What the study says it is; an approval covers every line", describe(study)),
        Table("Amendments", columns, amended, empty="There was no amendment."),
        _timeline(material, study),
    )
    return Section(PROJECTS, "Safe projects: is this use of the data appropriate?", blocks)


def _timeline(material: Material, study: Study) -> Table:
    """What every organisation decided, when and why: approvals, refusals, reviews, withdrawals."""
    rows = tuple(
        (
            each.at[:16].replace("T", " "),
            material.name(each.node),
            each.words(study.delta_fraction),
            each.body.by,
            each.reason,
            f"{each.seq}",
        )
        for each in material.decided
        if each.body.study == study.id
    )
    return Table(
        "Decisions over time",
        ("when", "organisation", "decision", "by", "reason", "entry"),
        rows,
        frozenset({5}),
        empty="No organisation decided anything about this study.",
    )


def _people(material: Material, study: Study) -> Section:
    asked = material.of_study(study.id)
    questions = Counter(each.reserve.researcher for each in asked)
    rows = tuple(
        (person.words, key_words(person.key), f"{questions[person.key]}")
        for person in study.investigators
    )
    columns = ("investigator", "key, first digits of its fingerprint", "questions")
    delegated = sum(each.reserve.delegation is not None for each in asked)
    caption = "Who may ask. Every question is signed by one of these keys, or under its leave"
    return Section(
        PEOPLE,
        "Safe people: can those who ask be trusted to use it so?",
        (
            Table(caption, columns, rows, frozenset({2})),
            Words(f"{delegated} of {count(len(asked), 'question')} asked under a delegation."),
            _revoked(material),
        ),
    )


def _revoked(material: Material) -> Table:
    rows = tuple(
        (change.at[:16].replace("T", " "), material.name(node), change.what)
        for node, change in material.changes("revoked")
    )
    columns = ("when", "organisation", "what")
    return Table("Researchers' keys revoked", columns, rows, empty="No key was revoked.")


def _settings(material: Material, study: Study) -> Section:
    said = (
        "Records stay where they are. What leaves an organisation is a vector of whole numbers"
        " under a mask, with its share of the noise in it; only sums over all can be opened.",
        f"{count(study.t_collude, 'organisation')} may collude and {study.t_drop} may drop out of a"
        " question without weakening the guarantee.",
        "Messages are signed end to end; an organisation counts only peers whose keys its steward"
        " compared.",
    )
    title = "Safe settings: does where it runs limit what can go wrong?"
    return Section(SETTINGS, title, (Items(said), _policies(material)))


def _policies(material: Material) -> Table:
    """Every line of every policy in force; organisations that say the same share one."""
    said: dict[tuple[str, str], list[str]] = {}
    for node, state in _states(material).items():
        if state.policy is not None:
            for line in policy_words(state.policy, state.delta):
                said.setdefault(line, []).append(material.name(node))
    names = list(dict.fromkeys(what for what, _ in said))
    lines = sorted(said.items(), key=lambda line: names.index(line[0][0]))
    everybody = len(material.found.ledgers)
    return Table(
        "The organisations' policies in force",
        ("what", "in words", "where"),
        tuple(
            (what, text, "everywhere" if len(where) == everybody else ", ".join(where))
            for (what, text), where in lines
        ),
    )


def _data(material: Material, study: Study) -> Section:
    named = ", ".join(study.variables) or "every column of the dictionary"
    lines = (
        ("consent", dict(describe(study)).get("members' consent", "")),
        ("cohort", study.cohort or "every member"),
        ("columns that may be used", named),
        ("dictionary", study.dictionary),
        ("what is in the ledgers of members", "nothing but one salted hash a month"),
    )
    return Section(
        DATA,
        "Safe data: could somebody be picked out?",
        (
            facts("What may be computed from", lines),
            _named(material, study),
            _texts(material, study),
        ),
    )


def _named(material: Material, study: Study) -> Table:
    counts = columns_named(material, material.of_study(study.id))
    return Table(
        "Columns that questions named, and in how many of them",
        ("column", "questions"),
        tuple((name, f"{number}") for name, number in sorted(counts.items())),
        frozenset({1}),
        empty="No question named a column.",
    )


def _texts(material: Material, study: Study) -> Table:
    rows = tuple(
        (at, material.name(node), body.language, short(body.text))
        for node in material.found.ledgers
        for at, body in consent_texts(material, node)
        if body.purpose == study.purpose
    )
    return Table(
        f"Texts with which members are asked about {study.purpose}, by hash",
        ("from", "organisation", "language", "text"),
        rows,
        empty="No organisation recorded a text for this purpose.",
    )


def _outputs(material: Material, study: Study) -> Section:
    delta, asked = study.delta_fraction, material.of_study(study.id)
    budgets = tuple(
        (
            material.name(node),
            state.charged.get(study.id, Rho.ZERO),
            state.held.get(study.id, Rho.ZERO),
            quota(state, study.id),
        )
        for node, state in _states(material).items()
    )
    most = max((spent for _, spent, _, _ in budgets), default=Rho.ZERO)
    drawn = tuple((name, spent, limit) for name, spent, _, limit in budgets)
    caption = "What the study spent at each organisation of what was approved there"
    return Section(
        OUTPUTS,
        "Safe outputs: what left, and what did it cost?",
        (
            Words(_sum(epsilon_text(most, delta), sum(bool(each.release) for each in asked))),
            budget_figure(drawn, delta, "What the study spent of what was approved"),
            budget_table(budgets, delta, caption),
            _methods(material, study),
            releases_table(material, asked, delta),
            unanswered_table(asked, delta),
        ),
    )


def _methods(material: Material, study: Study) -> Table:
    counts = methods_used(material, material.of_study(study.id))
    return Table(
        "Methods asked for",
        ("analysis", "questions"),
        tuple((kind, f"{number}") for kind, number in sorted(counts.items())),
        frozenset({1}),
        empty="Nothing was asked.",
    )


def _sum(epsilon: str, releases: int) -> str:
    return (
        f"{count(releases, 'answer')} released. A member of one organisation lost at most epsilon"
        f" {epsilon} to this study."
    )
