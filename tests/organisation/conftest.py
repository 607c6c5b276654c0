"""Networks for the tests of this folder."""

from tests.support.network_fixtures import make, network

__all__ = ["make", "network"]
