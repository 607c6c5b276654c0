"""Terms in one line, as organisations write them in files and on the command line.

    HMB NPU GS=CH,DE                 health research, no profit, from Switzerland or Germany
    DS=MONDO:0004976 ASK=a-study     on ALS, after asking, and yes to the study a-study

A permission and any restrictions, in any order, each as its short form or its code.
"""

from __future__ import annotations

from privacy.contract.duo import TERMS, Modifier, Permission, Rule, Terms
from privacy.errors import BadInput

_RULES: dict[str, Rule] = {
    name.upper(): rule for rule, term in TERMS.items() for name in (term.short, term.code)
}
_LISTED: dict[Rule, str] = {
    Permission.DISEASE: "conditions",
    Modifier.GEOGRAPHY: "countries",
    Modifier.ASK: "studies",
}
_KNOWN = ", ".join(term.short for term in TERMS.values())


def parse_terms(text: str, where: str = "") -> Terms:
    """Read one line of terms; raises BadInput naming the word that is wrong."""
    permissions: list[Permission] = []
    modifiers: list[Modifier] = []
    lists: dict[str, list[str]] = {}
    for word in text.split():
        rule, values = _read(word, where)
        match rule:
            case Permission():
                permissions.append(rule)
            case Modifier():
                modifiers.append(rule)
        if values:
            lists[_LISTED[rule]] = sorted(set(values))
    if len(permissions) != 1:
        raise BadInput(
            "terms have one permission", where=where, instead="write one of GRU, HMB, DS=…, POA"
        )
    document = {"permission": permissions[0].value, "modifiers": sorted(set(modifiers))} | lists
    try:
        return Terms.from_json(document)
    except BadInput as error:
        raise BadInput(error.what, where=where, instead=error.instead) from None


def _read(word: str, where: str) -> tuple[Rule, list[str]]:
    name, _, listed = word.partition("=")
    rule = _RULES.get(name.upper())
    if rule is None:
        raise BadInput(f"no rule {name[:40]!r}", where=where, instead=f"known: {_KNOWN}")
    values = [value for value in listed.split(",") if value]
    if values and rule not in _LISTED:
        raise BadInput(f"{name} has no list", where=where, instead=f"write {name} alone")
    return rule, values


def terms_text(terms: Terms) -> str:
    """The one line that `parse_terms` reads back as the same terms."""
    rules: tuple[Rule, ...] = (terms.permission, *terms.modifiers)
    lists = {rule: getattr(terms, name) for rule, name in _LISTED.items()}
    return " ".join(
        TERMS[rule].short + ("=" + ",".join(lists[rule]) if lists.get(rule) else "")
        for rule in rules
    )
