"""A study in the form of the registry of differential privacy deployments that OpenDP keeps.

A draft that its authors complete: what a bundle cannot know (who publishes, for which region)
stands there as what is known of it, and says so. Numbers are those that were verified.

Source: the fields of the registry's records, github.com/opendp/deployments-registry-data, as of
September 2026; our own schema of them stands in `templates/registry.schema.json`.
"""

from __future__ import annotations

from typing import Any

from coordinator.audit.dossier.material import Asked, Material
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.study import Study
from privacy.units import Rho

STATUS = "Draft"
FULL = 3  # the tier of a record with every section
MODELS = frozenset({"train", "evaluate"})


def registry_record(material: Material, study_id: str) -> dict[str, Any]:
    """The newest version of one study as a record of the registry, ready for JSON or YAML."""
    study = material.versions(study_id)[-1]
    asked = [each for each in material.of_study(study_id) if each.release]
    return {
        "url_slug": f"{material.found.report.network}-{study.id}",
        "deployment": {
            "basic": _basic(material, study, asked),
            "dp_variant": _variant(),
            "privacy_loss": _loss(material, study),
            "deployment_model": _model(material, study),
            "implementation": _implementation(study, asked),
            "administrative": _administrative(material, study),
        },
    }


def _basic(material: Material, study: Study, asked: list[Asked]) -> dict[str, Any]:
    kinds = {str(material.found.context.plans[each.plan].analysis["kind"]) for each in asked}
    model = bool(kinds) and kinds <= MODELS
    countries = sorted({person.country for person in study.investigators if person.country})
    return {
        "name": study.title,
        "data_curators": [
            {"data_curator_name": name, "data_curator_type": "Nonprofit"}
            for name in material.names.values()
        ],
        "description": study.summary or study.question or study.title,
        "intended_use": study.question or study.title,
        "data_product_type": "Machine learning model" if model else "Summary statistics",
        "data_product_region": ", ".join(countries) or "Not said in the study",
        "data_product_sector": "Healthcare",
        "publication_date": min((each.released_at for each in asked), default=study.starts)[:10],
    }


def _variant() -> dict[str, str]:
    return {
        "variant_name": "Zero-concentrated DP",
        "data_domain": (
            "The records of all members of the organisations that consented, in the tables and"
            " columns of a declared dictionary with levels and bounds."
        ),
        "unprotected_quantities": (
            "Which organisations took part, which questions were asked, when, and their cost. No"
            " figure computed from members is released without noise."
        ),
    }


def _loss(material: Material, study: Study) -> dict[str, Any]:
    spent = max(
        (
            ledger.replay.state.charged.get(study.id, Rho.ZERO)
            for ledger in material.found.ledgers.values()
        ),
        default=Rho.ZERO,
    )
    delta = study.delta_fraction
    allowance = study.rho * study.max_memberships**2
    return {
        "privacy_unit": "Person (a member of a patient organisation with all their records)",
        "privacy_unit_details": (
            "Neighbouring data sets differ by one member with all records in all tables, added or"
            f" removed, at up to {study.max_memberships} organisations."
        ),
        "privacy_parameters": {
            "epsilon": epsilon_of_rho(spent, delta),
            "delta": float(delta),
            "rho": float(spent.fraction),
        },
        "privacy_parameters_details": (
            "The loss of this study so far at the organisation where it is largest. Its whole"
            f" allowance is epsilon {epsilon_of_rho(allowance, delta):.6g}. Other studies of the"
            " same organisations add to it, under a yearly limit that each of them sets."
        ),
    }


def _model(material: Material, study: Study) -> dict[str, str]:
    number = len(material.found.ledgers)
    return {
        "model_name": "Federated",
        "model_name_details": (
            "Each organisation adds a share of the noise to its own total; a secure sum opens only"
            " the total over all of them, which carries the noise of one central curator."
        ),
        "trust_assumptions": (
            f"At most {study.t_collude} of {number} organisations pool what they know with"
            " anybody. Each member trusts their own organisation. The coordinator is not trusted."
        ),
        "actors": (
            "Organisations hold records and keep ledgers; a coordinator relays and opens sums;"
            " researchers ask; auditors verify ledgers and releases offline."
        ),
        "release_type": "Many releases",
        "release_type_details": (
            "A filter at every organisation refuses what would pass the limit of its period or of"
            " the study. A new period adds to the losses before it; nothing resets."
        ),
        "data_source_type": "Dynamic",
        "data_source_type_details": "Imports and withdrawals change the records; losses go on.",
        "access_type": "Interactive",
        "access_type_details": (
            "Questions are signed by investigators whom the approved study names. Limits count"
            " everybody's questions together, so researchers may pool their answers."
        ),
    }


def _implementation(study: Study, asked: list[Asked]) -> dict[str, str]:
    return {
        "preprocessing_and_hyperparameter_tuning": (
            "Levels, bounds and bins are declared before any record is read. Whatever is chosen"
            " from data is itself a charged question."
        ),
        "mechanisms": (
            "One: a distributed discrete Gaussian over integers, exact in whole numbers, with"
            " keystream from the system's generator; replies leave at public instants; refusals"
            " and errors depend on public facts alone."
        ),
        "composition": (
            "Fully adaptive composition of zCDP: losses are exact fractions that add up."
            f" {len(asked)} releases so far."
        ),
        "post_processing": "Estimates and intervals are computed from released totals alone.",
        "justification": (
            "An auditor verified, offline, that every charge is the cost of its recorded"
            " mechanism and that every total follows from what left the organisations."
        ),
        "utility": "Every estimate states its standard error and its share of noise.",
        "additional_information": f"Smallest cohort: a noised total of {study.min_cohort}.",
    }


def _administrative(material: Material, study: Study) -> dict[str, Any]:
    people = [person.name for person in study.investigators if person.name]
    return {
        "evidence_sources": {
            "audit_bundle": {
                "misc": {
                    "title": f"Audit bundle of {material.found.report.network}",
                    "note": "Signed ledgers, plans and releases, verified offline.",
                    "year": material.found.report.made_at[:4],
                }
            }
        },
        "status": STATUS,
        "registry_authors": people or [f"The investigators of {study.id}"],
        "tier": FULL,
    }
