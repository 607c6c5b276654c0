"""The network's own certificate authority: nodes trust this one file and no other authority."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from privacy.errors import BadInput

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class TlsFiles:
    """Where a certificate and its private key lie."""

    certificate: Path
    key: Path


def authority_files(directory: Path) -> TlsFiles:
    """The authority's files in `directory`; the certificate is what every node is given."""
    return TlsFiles(directory / "ca.crt", directory / "ca.key")


def server_files(directory: Path, name: str = "server") -> TlsFiles:
    """The server's files in `directory`."""
    return TlsFiles(directory / f"{name}.crt", directory / f"{name}.key")


def create_authority(directory: Path, network: str, now: datetime) -> TlsFiles:
    """Make the authority of a network; never overwrites one."""
    files = authority_files(directory)
    key = generate_private_key(SECP256R1())
    name = _name(f"{network} transport authority")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    _write(files, key, builder.sign(key, SHA256()))
    return files


def issue_server_certificate(
    directory: Path, hosts: Sequence[str], now: datetime, *, name: str = "server"
) -> TlsFiles:
    """Certify a new server key for `hosts` (names or IP addresses), replacing an earlier one.

    Raises BadInput when the directory holds no authority or `hosts` is empty.
    """
    if not hosts:
        raise BadInput("a server certificate needs a host", instead="give a name or an IP address")
    issuer, issuer_key = _load_authority(directory)
    key = generate_private_key(SECP256R1())
    issuer_public = issuer_key.public_key()
    builder = (
        _builder(_name(hosts[0]), issuer.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False
        )
    )
    files = server_files(directory, name)
    files.certificate.unlink(missing_ok=True)
    files.key.unlink(missing_ok=True)
    _write(files, key, builder.sign(issuer_key, SHA256()))
    return files


def _load_authority(directory: Path) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    files = authority_files(directory)
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), password=None)
    except (OSError, ValueError):
        raise BadInput("no transport authority here", where=str(directory)) from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise BadInput("the authority's key is not an EC key", where=str(files.key))
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(files: TlsFiles, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
