"""A study in words, line by line: the same for a steward, a researcher, a member and an auditor."""

from __future__ import annotations

from privacy.contract.duo import Permission, Research
from privacy.contract.study import ConsentRule, ProtocolReference, ProtocolText, Study
from privacy.errors import BadInput

Lines = tuple[tuple[str, str], ...]

# The Data Use Ontology's permission under which each kind of research falls, where there is one.
_DUO: dict[Research, tuple[str, str]] = {
    Research.DISEASE: (Permission.DISEASE.value, "disease specific research"),
    Research.HEALTH: (Permission.HEALTH.value, "health, medical or biomedical research"),
    Research.ORIGINS: (Permission.ORIGINS.value, "population origins or ancestry research"),
    Research.METHODS: (Permission.GENERAL.value, "research on methods or software"),
    Research.OTHER: (Permission.GENERAL.value, "general research"),
}


def describe(study: Study) -> Lines:
    """(what, in words) for everything that an approval covers. Nothing is left out."""
    lines = (*_why(study), *_who(study), *_what(study), *_how_much(study))
    return tuple((what, text) for what, text in lines if text)


def describe_text(study: Study) -> str:
    """`describe` as lines of text."""
    return "\n".join(f"{what}: {text}" for what, text in describe(study))


def purpose_words(study: Study) -> str:
    """What kind of research it is, with its DUO code and conditions."""
    code, name = _DUO[study.research]
    of = f" on {', '.join(study.conditions)}" if study.conditions else ""
    return f"{name}{of} ({code})"


def _why(study: Study) -> Lines:
    return (
        ("study", f"{study.title} ({study.id}, version {study.version})"),
        ("question", study.question),
        ("in plain words", study.summary),
        ("protocol", _protocol(study)),
        ("purpose", purpose_words(study)),
        ("members' consent", _consent(study)),
    )


def _protocol(study: Study) -> str:
    match study.protocol:
        case ProtocolText(text=text):
            return text
        case ProtocolReference(reference=reference, sha256=sha256):
            return f"{reference} (SHA-256 {sha256})"
        case None:
            return "none given"


def _consent(study: Study) -> str:
    if study.consent is ConsentRule.REQUIRED:
        return f"only members who consent to {study.purpose}"
    return "all members, without asking for consent"


def _who(study: Study) -> Lines:
    money = "for profit" if study.for_profit else "not for profit"
    trade = "commercial" if study.commercial else "non-commercial"
    promised = [
        words
        for promise, words in (
            (study.publishes, "to publish what is found"),
            (study.returns_results, "to give the results back"),
        )
        if promise
    ]
    return (
        ("investigators", "; ".join(each.words for each in study.investigators)),
        ("interest", f"{money}, {trade}"),
        ("promises", " and ".join(promised) or "none"),
        ("legal basis", study.legal_basis or "none given"),
        ("permit", study.permit or "none given"),
    )


def _what(study: Study) -> Lines:
    apart = "may be estimated, with noise like any"
    once = "members who were linked, each at one organisation"
    floor = f"answers below a noised total of {study.min_cohort} are withheld"
    return (
        ("cohort", study.cohort or "every member"),
        ("columns", ", ".join(study.variables) or "every column of the dictionary"),
        ("analyses", ", ".join(study.analyses) or "every analysis of the catalogue"),
        ("figures of each organisation", apart if study.by_organisation else ""),
        ("who counts", once if study.linked else ""),
        ("smallest cohort", floor if study.min_cohort else ""),
    )


def _how_much(study: Study) -> Lines:
    each = study.epsilon_per_researcher
    return (
        ("allowance", f"epsilon {study.epsilon_allowance} at delta {study.delta}, in all"),
        ("per researcher", f"epsilon {each} of it at most" if each is not None else ""),
        ("period", f"{study.starts} to {study.ends}"),
    )


def changes(old: Study, new: Study) -> Lines:
    """What an amendment changes, as (what, "before -> after"). Raises BadInput for two studies."""
    if old.id != new.id:
        raise BadInput("versions of two studies")
    before, after = dict(describe(old)), dict(describe(new))
    before |= _exact(old)
    after |= _exact(new)
    return tuple(
        (what, f"{before.get(what, 'none')} -> {after.get(what, 'none')}")
        for what in dict.fromkeys((*before, *after))
        if before.get(what) != after.get(what)
    )


def _exact(study: Study) -> dict[str, str]:
    """What words leave out or shorten."""
    return {
        "investigators' keys": ", ".join(sorted(study.keys)),
        "dictionary": study.dictionary,
        "margins": f"{study.t_drop} lost, {study.t_collude} colluding",
        "memberships": str(study.max_memberships),
        "linked": "each linked member once" if study.linked else "no",
    }
