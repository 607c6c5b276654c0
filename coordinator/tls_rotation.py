"""New certificates for the link to the nodes: the server's every year, the authority's seldom."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta

from cryptography import x509

from coordinator.fleet_tls import (
    authority_files,
    create_authority,
    issue_server_certificate,
    server_files,
)
from coordinator.home import Home
from privacy.contract.signing import Envelope
from privacy.contract.time import instant_text
from privacy.contract.tls_authority import TlsAuthority
from privacy.errors import BadInput

SOON = timedelta(days=30)


def renew_server(home: Home, now: datetime) -> None:
    """A new key and certificate of the server, by the same authority: nodes notice nothing."""
    issue_server_certificate(home.tls, _hosts(home), now)


def renew_authority(home: Home, network: str, now: datetime) -> Envelope:
    """A new authority with a new certificate of the server; what nodes are told of it, signed.

    Called again after it was cut off, it begins again.
    """
    hosts, coming = _hosts(home), home.tls / "next"
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(mode=0o700)
    create_authority(coming, network, now)
    issue_server_certificate(coming, hosts, now)
    for path in sorted(coming.iterdir()):
        path.replace(home.tls / path.name)
    coming.rmdir()
    certificate = authority_files(home.tls).certificate.read_text("ascii")
    told = TlsAuthority(network=network, certificate=certificate, at=instant_text(now))
    return told.sealed(home.identity())


def fault_of(home: Home, now: datetime) -> str:
    """What is wrong with the server's certificate, or soon will be; "" for nothing."""
    try:
        ends = _certificate(home).not_valid_after_utc
    except BadInput as wrong:
        return str(wrong)
    if ends - now > SOON:
        return ""
    return f"the server's certificate ends on {ends.date()}: run `cairn-coordinator rotate-tls`"


def _hosts(home: Home) -> list[str]:
    extensions = _certificate(home).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _certificate(home: Home) -> x509.Certificate:
    where = server_files(home.tls).certificate
    try:
        return x509.load_pem_x509_certificate(where.read_bytes())
    except (OSError, ValueError):
        raise BadInput(
            "the server's certificate is missing", where=str(where), instead="put its copy back"
        ) from None
