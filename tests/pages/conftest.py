"""Fixtures of other areas that pages need."""

from tests.support.linkage_ring import few_dummies

__all__ = ["few_dummies"]
