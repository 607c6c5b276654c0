"""What the columns of the GBSG2 trial are declared as, and the terms of its models."""

from __future__ import annotations

from tests.support.rows_factory import categorical, number

COVARIATES = (
    categorical("horTh", "no", "yes"),
    number("age", ("20", "80")),
    categorical("menostat", "Pre", "Post"),
    number("tsize", ("0", "80")),
    categorical("tgrade", "I", "II", "III"),
    number("pnodes", ("1", "40")),
    number("progrec", ("0", "1000")),
    number("estrec", ("0", "500")),
)
CANCER_TERMS = (
    "horTh + age + menostat + tsize + tgrade + log(pnodes) + log1p(progrec) + log1p(estrec)"
)
