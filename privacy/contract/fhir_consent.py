"""A word on consent as a FHIR R4 Consent, and back.

    status      proposed: requested; active: given (provision permit) or refused (deny);
                rejected: refused; inactive: withdrawn, or what the extension `state` says
    patient     the member's key, as identifier or as reference Patient/KEY
    provision   type, period, and as purposes: the purpose, DUO codes, conditions, countries and
                studies
    policy      urn:sha256:… of the text that was shown; sourceReference.display the evidence

What could restrict a consent and is not understood is refused, never left out: nested provisions,
modifier extensions, other scopes, unknown purposes.

Source: HL7 FHIR R4 (4.0.1) resource Consent; v3-ActReason codes for purposes of research.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from privacy.contract.consent import ConsentState, Word
from privacy.contract.duo import Modifier, Permission, Rule, Terms
from privacy.contract.time import parse_day
from privacy.errors import BadInput

DUO = "http://purl.obolibrary.org/obo/duo.owl"
MONDO = "http://purl.obolibrary.org/obo/mondo.owl"
ORPHA = "http://www.orpha.net"
COUNTRY = "urn:iso:std:iso:3166"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
LOINC = "http://loinc.org"
OWN = "urn:cairn:"
_RULES: dict[str, Rule] = {rule.value: rule for rule in (*Permission, *Modifier)}
_REASONS = {"HRESCH": Permission.HEALTH, "BIORCH": Permission.HEALTH, "POARCH": Permission.ORIGINS}
_STATUS = {
    ConsentState.REQUESTED: "proposed",
    ConsentState.GIVEN: "active",
    ConsentState.REFUSED: "rejected",
    ConsentState.WITHDRAWN: "inactive",
    ConsentState.EXPIRED: "inactive",
    ConsentState.SUPERSEDED: "inactive",
}
_INACTIVE = {
    state.value: state
    for state in (ConsentState.WITHDRAWN, ConsentState.EXPIRED, ConsentState.SUPERSEDED)
}
_UNREAD = ("modifierExtension", "implicitRules")
_UNREAD_PROVISION = (
    "provision", "modifierExtension", "actor", "action", "class", "code", "data", "dataPeriod",
    "securityLabel",
)  # fmt: skip


# writing


def to_fhir(word: Word) -> dict[str, Any]:
    """The word as a Consent. What is not known is left out."""
    extensions = [_extension("state", "valueCode", word.state.value)]
    if word.recorder:
        extensions.append(_extension("recorder", "valueString", word.recorder))
    resource: dict[str, Any] = {
        "resourceType": "Consent",
        "extension": extensions,
        "status": _STATUS[word.state],
        "scope": {"coding": [{"system": SCOPE, "code": "research"}]},
        "category": [{"coding": [{"system": LOINC, "code": "59284-0"}]}],
        "patient": {"identifier": {"value": word.member}},
        "provision": _provision(word),
    }
    optional: dict[str, Any] = {
        "language": word.language,
        "dateTime": word.recorded_at,
        "sourceReference": {"display": word.evidence} if word.evidence else None,
    }
    if word.text:
        resource["policy"] = [{"uri": f"urn:sha256:{word.text}"}]
    else:
        resource["policyRule"] = {"text": "as the organisation keeps it"}
    return resource | {name: value for name, value in optional.items() if value}


def _extension(name: str, kind: str, value: str) -> dict[str, str]:
    return {"url": f"{OWN}{name}", kind: value}


def _provision(word: Word) -> dict[str, Any]:
    given = word.state in (ConsentState.GIVEN, ConsentState.REQUESTED)
    provision: dict[str, Any] = {"type": "permit" if given else "deny"}
    period = {"start": word.valid_from, "end": word.valid_until}
    if any(period.values()):
        provision["period"] = {name: day for name, day in period.items() if day}
    codings = [(f"{OWN}purpose", word.purpose), *_coded(word.terms)]
    provision["purpose"] = [{"system": system, "code": code} for system, code in codings]
    return provision


def _coded(terms: Terms | None) -> list[tuple[str, str]]:
    if terms is None:
        return []
    rules: tuple[Rule, ...] = (terms.permission, *terms.modifiers)
    return [
        *((f"{OWN}rule" if rule is Modifier.ASK else DUO, rule.value) for rule in rules),
        *((MONDO if each.startswith("MONDO") else ORPHA, each) for each in terms.conditions),
        *((COUNTRY, each) for each in terms.countries),
        *((f"{OWN}study", each) for each in terms.studies),
    ]


# reading


def from_fhir(value: Any, where: str) -> Word:
    """The word in a Consent. Raises BadInput naming place and field for what it is not."""
    if not isinstance(value, Mapping) or value.get("resourceType") != "Consent":
        raise BadInput("no Consent", where=where)
    for name in _UNREAD:
        if name in value:
            raise BadInput("could change the meaning and is not read", where=f"{where}, {name}")
    _check_scope(value, where)
    provision = _table(value.get("provision"), f"{where}, provision")
    purpose, terms = _purposes(provision, where)
    state = _state(value, provision, where)
    period = _table(provision.get("period", {}), f"{where}, provision.period")
    document = {
        "member": _member(value.get("patient"), where),
        "purpose": purpose,
        "state": state.value,
        "terms": terms.to_json() if terms and state is ConsentState.GIVEN else None,
        "valid_from": _day(period.get("start", ""), f"{where}, provision.period.start"),
        "valid_until": _day(period.get("end", ""), f"{where}, provision.period.end"),
        "text": _text(value, where),
        "language": value.get("language", ""),
        "evidence": _display(value.get("sourceReference")),
        "recorder": _extended(value, "recorder", "valueString"),
        "recorded_at": value.get("dateTime", ""),
    }
    try:
        return Word.from_json(document)
    except BadInput as error:
        raise BadInput(error.what, where=f"{where}, {error.where}") from None


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadInput("missing, or not an object", where=where)
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadInput("not a list", where=where)
    return value


def _check_scope(value: Mapping[str, Any], where: str) -> None:
    scope = _table(value.get("scope"), f"{where}, scope")
    codes = [
        _table(each, f"{where}, scope").get("code") for each in _list(scope.get("coding"), where)
    ]
    if "research" not in codes:
        raise BadInput(
            "the scope is not research", where=f"{where}, scope", instead="leave this Consent out"
        )


def _member(patient: Any, where: str) -> str:
    place = f"{where}, patient"
    known = _table(patient, place)
    identifier = known.get("identifier")
    if isinstance(identifier, Mapping) and isinstance(identifier.get("value"), str):
        return str(identifier["value"])
    kind, _, key = str(known.get("reference", "")).partition("/")
    if kind != "Patient" or not key:
        raise BadInput("nobody is named", where=place, instead='write {"reference": "Patient/a7"}')
    return key


def _state(value: Mapping[str, Any], provision: Mapping[str, Any], where: str) -> ConsentState:
    kind = provision.get("type")
    if kind not in ("permit", "deny"):
        raise BadInput("missing", where=f"{where}, provision.type", instead="write permit or deny")
    match value.get("status"):
        case "active":
            return ConsentState.GIVEN if kind == "permit" else ConsentState.REFUSED
        case "proposed" | "draft":
            return ConsentState.REQUESTED
        case "rejected":
            return ConsentState.REFUSED
        case "inactive":
            said = _extended(value, "state", "valueCode")
            return _INACTIVE.get(said, ConsentState.WITHDRAWN)
        case _:
            raise BadInput(
                "no status that counts",
                where=f"{where}, status",
                instead="write active, rejected, inactive, proposed or draft",
            )


def _purposes(provision: Mapping[str, Any], where: str) -> tuple[str, Terms | None]:
    for name in _UNREAD_PROVISION:
        if name in provision:
            place = f"{where}, provision.{name}"
            raise BadInput("could restrict the consent and is not read", where=place)
    found: dict[str, list[str]] = {}
    place = f"{where}, provision.purpose"
    for number, coding in enumerate(_list(provision.get("purpose"), place), 1):
        here = f"{place} {number}"
        kind, code = _understood(_table(coding, here), here)
        found.setdefault(kind, []).append(code)
    purposes = found.pop("purpose", ["all"])
    if len(purposes) != 1:
        raise BadInput("more than one purpose", where=place, instead="write a Consent for each")
    return purposes[0], _terms(found, place) if found else None


def _understood(coding: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Which part of a word a coding is, and its code there."""
    system, code = str(coding.get("system", "")), str(coding.get("code", ""))
    read = _CODINGS.get(system)
    part = read(code) if read is not None and code else None
    if part is None:
        raise BadInput(f"{code[:40]!r} is no purpose that is known", where=where)
    return part


def _rule(code: str) -> tuple[str, str] | None:
    match _RULES.get(code):
        case Permission() as permission:
            return "permission", permission.value
        case Modifier() as modifier:
            return "modifiers", modifier.value
        case None:
            return None


def _reason(code: str) -> tuple[str, str] | None:
    permission = _REASONS.get(code)
    return None if permission is None else ("permission", permission.value)


def _orpha(code: str) -> tuple[str, str]:
    return "conditions", code if code.startswith("ORPHA:") else f"ORPHA:{code}"


_CODINGS: dict[str, Callable[[str], tuple[str, str] | None]] = {
    DUO: _rule,
    f"{OWN}rule": _rule,
    ACT_REASON: _reason,
    MONDO: lambda code: ("conditions", code),
    ORPHA: _orpha,
    COUNTRY: lambda code: ("countries", code),
    f"{OWN}study": lambda code: ("studies", code),
    f"{OWN}purpose": lambda code: ("purpose", code),
}


def _terms(found: dict[str, list[str]], where: str) -> Terms:
    permissions = sorted(set(found.pop("permission", [])))
    if len(permissions) != 1:
        raise BadInput("not one permission", where=where, instead="write one of DUO's permissions")
    lists = {name: sorted(set(values)) for name, values in found.items()}
    try:
        return Terms.from_json({"permission": permissions[0], **lists})
    except BadInput as error:
        raise BadInput(error.what, where=where, instead=error.instead) from None


def _day(value: Any, where: str) -> str:
    text = str(value)[:10]
    if not text:
        return ""
    try:
        return parse_day(text).isoformat()
    except BadInput as error:
        raise BadInput(error.what, where=where, instead=error.instead) from None


def _text(value: Mapping[str, Any], where: str) -> str:
    uris = [
        str(_table(each, f"{where}, policy").get("uri", ""))
        for each in _list(value.get("policy"), f"{where}, policy")
    ]
    named = [uri.removeprefix("urn:sha256:") for uri in uris if uri.startswith("urn:sha256:")]
    return named[0] if named else ""


def _display(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    return str(value.get("display") or value.get("reference") or "")


def _extended(value: Mapping[str, Any], name: str, kind: str) -> str:
    for each in _list(value.get("extension"), "extension"):
        if isinstance(each, Mapping) and each.get("url") == f"{OWN}{name}":
            return str(each.get(kind, ""))
    return ""
