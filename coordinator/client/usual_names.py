"""What other programs call a family of outcomes or a setting of training, and what it is here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from coordinator.client.errors import BadInput
from models.neural.architecture import Architecture
from models.regression.request import FamilyName

FAMILIES: tuple[FamilyName, ...] = get_args(FamilyName)
_FAMILY: dict[FamilyName, tuple[str, ...]] = {
    "linear": ("gaussian", "normal", "ols", "lm", "leastsquares", "identity", "continuous"),
    "binomial": ("logistic", "logit", "bernoulli", "binary", "glmbinomial"),
    "poisson": ("count", "counts", "loglinear", "quasipoisson"),
    "negative_binomial": ("nb", "nb2", "negbin", "nbinom", "negativebinomial"),
    "ordinal": ("cumulative", "polr", "ologit", "orderedlogit", "ordered", "proportionalodds"),
}
_ELSEWHERE = {
    "cox": "ask study.cox(time, event, terms)",
    "coxph": "ask study.cox(time, event, terms)",
    "survival": "ask study.cox(time, event, terms)",
    "mixed": "ask study.progression(outcome, time, terms)",
    "mixedlm": "ask study.progression(outcome, time, terms)",
    "multinomial": "write 'ordinal' where levels have an order, or ask study.train(…)",
    "softmax": "write 'ordinal' where levels have an order, or ask study.train(…)",
}
_SETTING = {
    "epochs": "write rounds=20",
    "steps": "write rounds=20",
    "iterations": "write rounds=20",
    "lr": "write rate='0.1'",
    "learning_rate": "write rate='0.1'",
    "optimizer": "write optimiser='adam'",
    "hidden": "write widths=[32, 16]",
    "hidden_layers": "write widths=[32, 16]",
    "layers": "write widths=[32, 16]",
    "hidden_layer_sizes": "write widths=[32, 16]",
    "max_grad_norm": "write clip=1",
    "batch_size": "leave it out: every round is of all members",
    "noise_multiplier": "leave it out: the noise follows from epsilon",
    "delta": "leave it out: it is the study's",
}


def family_named(written: object) -> FamilyName:
    """The family, by its name here. Raises BadInput that names the one that was meant."""
    for family in FAMILIES:
        if written == family:
            return family
    plain = "".join(filter(str.isalnum, written.lower())) if isinstance(written, str) else ""
    meant = [name for name, words in _FAMILY.items() if plain in (_plain(name), *words)]
    instead = f"write {meant[0]!r}" if meant else _ELSEWHERE.get(plain, _one_of(FAMILIES))
    raise BadInput(f"no family {written!r}", where="family", instead=instead)


def _plain(name: str) -> str:
    return name.replace("_", "")


def _one_of(names: Iterable[str]) -> str:
    return f"write {', '.join(names)}"


def check_settings(network: type[Architecture], written: Iterable[str]) -> None:
    """Raises BadInput for a setting that the network has not, with the one that was meant."""
    known = sorted(network.model_fields.keys() - {"kind"})
    for name in written:
        if name not in known:
            raise BadInput(
                f"{network().kind} has no such setting",
                where=name,
                instead=_SETTING.get(name, _one_of(known)),
            )
