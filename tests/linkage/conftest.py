"""Short lists and whole networks for the tests of this folder."""

from tests.support.linkage_ring import few_dummies
from tests.support.network_fixtures import make, network

__all__ = ["few_dummies", "make", "network"]
