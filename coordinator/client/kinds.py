"""An analysis as written on the command line: a kind, its columns, groups and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never, get_args

from coordinator.client.analyses import Asking
from coordinator.client.fits import MEMBERS, WAYS
from coordinator.client.question import Question
from coordinator.client.study import Study
from coordinator.client.usual_names import family_named
from models.regression.weighting import Estimand
from privacy.errors import BadInput


class Kind(StrEnum):
    COUNT = "count"
    HISTOGRAM = "histogram"
    MEAN = "mean"
    SUM = "sum"
    INCIDENCE = "incidence"
    TREATMENT_REPORT = "treatment_report"
    TOP = "top"
    MAP = "map"
    DENSITY = "density"
    DESCRIBE = "describe"
    VARIANCE = "variance"
    CORRELATION = "correlation"
    QUANTILES = "quantiles"
    MEMBER_SUMMARY = "member_summary"
    COMPARE = "compare"
    TABLE = "table"
    PREVALENCE = "prevalence"
    SURVIVAL = "survival"
    DISPROPORTIONALITY = "disproportionality"
    ASSOCIATIONS = "associations"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GLM = "glm"
    COX = "cox"
    PROGRESSION = "progression"
    EFFECT = "effect"


@dataclass(frozen=True)
class Written:
    """What stands on the line. Whatever a kind has no use for is refused."""

    kind: Kind
    columns: tuple[str, ...]
    by: tuple[str, ...]
    settings: Mapping[str, str]

    def take(self, *names: str, by: bool = False, settings: tuple[str, ...] = ()) -> list[str]:
        """The columns, one for each of `names`; raises BadInput for anything else written."""
        if self.by and not by:
            raise BadInput(f"{self.kind.value} takes no --by", instead="count takes --by")
        if len(self.columns) > len(names):
            what = "no column" if not names else f"no column {self.columns[len(names)]!r}"
            instead = f"write --by {self.columns[-1]}" if by else _columns(names)
            raise BadInput(f"{self.kind.value} takes {what}", instead=instead)
        if len(self.columns) < len(names):
            missing = "column" if names == ("column",) else names[len(self.columns)]
            article = "an" if missing[0] in "aeiou" else "a"
            raise BadInput(f"{self.kind.value} needs {article} {missing}", instead=_columns(names))
        for name in self.settings:
            if name not in settings:
                known = "its settings: " + ", ".join(settings) if settings else "it has none"
                raise BadInput(f"{self.kind.value} has no setting {name!r}", instead=known)
        return list(self.columns)

    def any_number(self) -> list[str]:
        """The columns, as many as there are; raises BadInput for anything else written."""
        return self.take(*(["column"] * len(self.columns)))

    def numbers(self, setting: str) -> list[str] | None:
        """A setting of numbers with commas between; None where it is not written."""
        return self.words(setting)

    def words(self, setting: str) -> list[str] | None:
        """A setting of words with commas between; None where it is not written."""
        text = self.settings.get(setting)
        return None if text is None else [part.strip() for part in text.split(",")]

    def whole(self, setting: str, unless: int) -> int:
        """A setting that is a whole number; raises BadInput."""
        return _whole(setting, self.settings.get(setting, str(unless)))

    def wholes(self, setting: str) -> list[int] | None:
        """A setting of whole numbers with commas between; None where it is not written."""
        words = self.words(setting)
        return None if words is None else [_whole(setting, word) for word in words]


def _columns(names: tuple[str, ...]) -> str:
    """What to write, at the command line and on a page alike."""
    return "write " + (" ".join(name.upper() for name in names) or "the analysis alone")


def _whole(setting: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadInput("not a whole number", where=setting)
    return int(text)


def settings_of(written: Iterable[str]) -> dict[str, str]:
    """name=value pairs; raises BadInput for another form and for a name that stands twice."""
    found: dict[str, str] = {}
    for each in written:
        name, sign, value = each.partition("=")
        if not sign or not name.strip():
            raise BadInput(f"{each!r} is no setting", instead="write --set name=value")
        if name.strip() in found:
            raise BadInput(f"{name.strip()!r} is set twice")
        found[name.strip()] = value.strip()
    return found


def question_of(study: Study, written: Written, where: str) -> Question:
    """The question as the client would build it; raises BadInput."""
    cohort: Asking = study.where(where)
    match written.kind:
        case Kind.COUNT:
            written.take(by=True)
            return cohort.count(by=list(written.by))
        case Kind.HISTOGRAM:
            return cohort.histogram(*written.take("column"))
        case Kind.MEAN:
            return cohort.mean(*written.take("column"))
        case Kind.SUM:
            return cohort.sum(*written.take("column"))
        case Kind.SURVIVAL:
            time, event = written.take("time", "event", by=True, settings=("grid", "happened"))
            happened = written.settings.get("happened", "true")
            grid = written.numbers("grid")
            return cohort.survival(time, event, list(written.by), grid=grid, happened=happened)
        case Kind.TABLE:
            written.take(by=True)
            return cohort.table(list(written.by))
        case Kind.PREVALENCE:
            (column,) = written.take("column", by=True)
            return cohort.prevalence(column, by=list(written.by))
        case Kind.VARIANCE:
            return cohort.variance(*written.take("column"))
        case Kind.QUANTILES:
            (column,) = written.take("column", settings=("q",))
            return cohort.quantiles(column, written.words("q") or ("0.5",))
        case Kind.COMPARE:
            return _compare(cohort, written)
        case Kind.MEMBER_SUMMARY:
            return _member_summary(cohort, written)
        case Kind.CORRELATION:
            return cohort.correlation(*written.any_number())
        case Kind.DENSITY:
            x, y = written.take("x", "y", settings=("x_edges", "y_edges"))
            edges = written.words("x_edges"), written.words("y_edges")
            return cohort.density(x, y, x_edges=edges[0], y_edges=edges[1])
        case Kind.DESCRIBE:
            return cohort.describe(*written.any_number())
        case Kind.MAP:
            return cohort.map(*written.take("region"))
        case Kind.TOP:
            (column,) = written.take("column", settings=("k", "cap"))
            k = written.whole("k", 10) if "k" in written.settings else None
            return cohort.top(column, k, cap=written.whole("cap", 5))
        case Kind.TREATMENT_REPORT:
            treatment, *columns = written.any_number() or written.take("treatment")
            return cohort.treatment_report(treatment, columns)
        case Kind.INCIDENCE:
            events, time = written.take("events", "time", by=True, settings=("weights", "per"))
            weights, per = written.words("weights"), written.whole("per", 1)
            by = list(written.by)
            return cohort.incidence(events, time, by, weights=weights, per=per)
        case Kind.DISPROPORTIONALITY:
            return cohort.disproportionality(*written.take("drug", "event"))
        case Kind.ASSOCIATIONS:
            written.take(settings=("exposures", "outcomes", "claims"))
            claims = [claim.split(":") for claim in written.words("claims") or ()]
            exposures, outcomes = written.words("exposures"), written.words("outcomes")
            return cohort.associations(exposures, outcomes, claims=claims)
        case Kind.TRAIN:
            return _train(cohort, written)
        case Kind.EVALUATE:
            return _evaluate(cohort, written)
        case Kind.GLM:
            return _glm(cohort, written)
        case Kind.COX:
            return _cox(cohort, written)
        case Kind.PROGRESSION:
            return _progression(cohort, written)
        case Kind.EFFECT:
            return _effect(cohort, written)
        case _:
            assert_never(written.kind)


def _evaluate(cohort: Asking, written: Written) -> Question:
    written.take(by=True, settings=("model", "grid", "horizon"))
    model, horizon = (written.settings.get(name, "") for name in ("model", "horizon"))
    by, grid = list(written.by), written.words("grid")
    return cohort.evaluate(model, by, grid=grid, horizon=horizon or None)


_OF_FITS = ("members", "way")


def _guess(written: Written) -> dict[str, Any]:
    """How a fit is chosen: a guessed size, or the way itself."""
    way = written.settings.get("way")
    if way is not None and way not in WAYS:
        raise BadInput("no way of fitting", where="way", instead="write " + ", ".join(WAYS))
    return {"members": written.whole("members", MEMBERS), "way": way}


def _glm(cohort: Asking, written: Written) -> Question:
    own = ("family", "happened", "dispersion", "reuse")
    (formula,) = written.take("formula", settings=(*own, *_OF_FITS))
    return cohort.glm(
        formula,
        family_named(written.settings.get("family", "linear")),
        happened=written.settings.get("happened", ""),
        dispersion=written.settings.get("dispersion"),
        reuse=written.settings.get("reuse", ""),
        **_guess(written),
    )


def _cox(cohort: Asking, written: Written) -> Question:
    own = ("start", "happened", "grid", "strata", "reuse")
    time, event, formula = written.take("time", "event", "formula", settings=(*own, *_OF_FITS))
    return cohort.cox(
        time,
        event,
        formula,
        start=written.settings.get("start", ""),
        happened=written.settings.get("happened", "true"),
        grid=written.numbers("grid"),
        strata=written.settings.get("strata", ""),
        reuse=written.settings.get("reuse", ""),
        **_guess(written),
    )


def _progression(cohort: Asking, written: Written) -> Question:
    own = ("lower", "upper", "slope_sd", "visit_sd", "members", "way")
    outcome, time, formula = written.take("outcome", "time", "formula", settings=own)
    said = written.settings
    for name in ("lower", "upper"):
        if name not in said:
            raise BadInput(f"{name} is missing", where=name, instead="write --set lower=-3")
    return cohort.progression(
        outcome,
        time,
        formula,
        lower=said["lower"],
        upper=said["upper"],
        slope_sd=said.get("slope_sd"),
        visit_sd=said.get("visit_sd"),
        **_guess(written),
    )


def _effect(cohort: Asking, written: Written) -> Question:
    own = ("estimand", "treated", "happened", "trim")
    names = ("outcome", "treatment", "covariates")
    outcome, treatment, covariates = written.take(*names, settings=(*own, *_OF_FITS))
    said = written.settings
    estimand = said.get("estimand", "overlap")
    if estimand not in get_args(Estimand):
        listed = ", ".join(get_args(Estimand))
        raise BadInput("no estimand", where="estimand", instead=f"write {listed}")
    return cohort.effect(
        outcome,
        treatment,
        covariates,
        estimand=estimand,  # type: ignore[arg-type]
        treated=said.get("treated", ""),
        happened=said.get("happened", ""),
        trim=said.get("trim", "0.05"),
        **_guess(written),
    )


_OF_ROWS = ("summary", "low", "high", "where", "window", "needing", "clip")


def _member_summary(cohort: Asking, written: Written) -> Question:
    (column,) = written.take("column", by=True, settings=_OF_ROWS)
    said = written.settings
    return cohort.member_summary(
        column,
        said.get("summary", "mean"),
        list(written.by),
        low=said.get("low"),
        high=said.get("high"),
        where=said.get("where", ""),
        window=said.get("window", ""),
        needing=written.wholes("needing"),
        clip=written.words("clip"),
    )


_OF_SLOPES = ("exposed", "months", "before", "slopes", "slope_cuts", "score_cuts", "needing")


def _compare(cohort: Asking, written: Written) -> Question:
    outcome, treated, index = written.take(
        "outcome", "treated", "index", by=True, settings=_OF_SLOPES
    )
    return cohort.compare(
        outcome,
        treated,
        index,
        exposed=written.settings.get("exposed", "true"),
        months=written.whole("months", 12),
        before=written.whole("before", 12),
        slopes=written.words("slopes"),
        slope_cuts=written.words("slope_cuts"),
        score_cuts=written.words("score_cuts"),
        by=list(written.by),
        needing=written.wholes("needing") or (3, 90),
    )


_WHOLE = ("rounds", "local_steps", "seed", "width", "hidden", "blocks")
_WHOLES = ("widths", "head")
_AS_WRITTEN = (
    *("event", "clip", "optimiser", "rate", "momentum", "local_rate", "proximal", "activation"),
)


def _train(cohort: Asking, written: Written) -> Question:
    known = ("network", *_WHOLE, *_WHOLES, *_AS_WRITTEN, "layer_norm")
    more = ["feature"] * max(len(written.columns) - 1, 1)
    outcome, *features = written.take("outcome", *more, by=True, settings=known)
    said = written.settings
    settings: dict[str, Any] = {name: said[name] for name in _AS_WRITTEN if name in said}
    settings |= {name: written.whole(name, 0) for name in _WHOLE if name in said}
    settings |= {name: written.wholes(name) for name in _WHOLES if name in said}
    if "layer_norm" in said:
        settings["layer_norm"] = said["layer_norm"] == "true"
    question: Question = cohort.train(
        said.get("network", "mlp"),
        outcome=outcome,
        features=features,
        by=list(written.by),
        **settings,
    )
    return question
