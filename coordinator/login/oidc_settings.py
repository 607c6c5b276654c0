"""Which identity provider, and as whom it knows this coordinator."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from privacy.errors import BadInput


@dataclass(frozen=True)
class OidcSettings:
    """A provider is spoken to over TLS; over plain http on this machine alone.

    Without a secret the coordinator is a public client.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: str = ""
    redirect_uri: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        host = parts.hostname or ""
        secure = parts.scheme == "https" or (parts.scheme == "http" and _loopback(host))
        if not secure or not host:
            raise BadInput("not an https address", where="oidc_issuer")
        if not self.client_id:
            raise BadInput("is missing", where="oidc_client_id")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
