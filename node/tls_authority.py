"""Another certificate authority for the link to the coordinator, by the coordinator's own word."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from node.home import Home, write_private
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.tls_authority import TlsAuthority
from privacy.errors import BadInput


def take_authority(home: Home, told: str, key: PublicKey) -> str:
    """Trust the authority in a file that the coordinator's `key` signed; its fingerprint.

    Raises BadInput for anything else, VerificationFailed for another key's or network's.
    """
    envelope = Envelope.from_json(parse_canonical(told.strip().encode()))
    found = TlsAuthority.opened(envelope, key, home.settings().network)
    try:
        certificate = x509.load_pem_x509_certificate(found.certificate.encode("ascii"))
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound):
        raise BadInput("is no certificate of an authority") from None
    if not basic.value.ca:
        raise BadInput("is no certificate of an authority")
    write_private(home.ca_file, found.certificate.encode("ascii"))
    return certificate.fingerprint(SHA256()).hex()
