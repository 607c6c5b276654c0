"""Runs and releases as sentences."""

from __future__ import annotations

from typing import Any

from models.aggregates.requests import parse_analysis
from models.sentences import sentence


def worded(asked: dict[str, Any]) -> dict[str, Any]:
    """A run or a release as the operations tell it, with its question in words."""
    return {**asked, "sentence": sentence(parse_analysis(asked["analysis"]), asked["cohort"])}
