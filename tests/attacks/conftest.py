"""Networks to attack."""

from tests.support.network_fixtures import make, network

__all__ = ["make", "network"]
