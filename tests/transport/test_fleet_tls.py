"""The authority's certificates: names, use, lifetime, file modes; transport keys."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from coordinator.fleet_tls import create_authority, issue_server_certificate
from node.transport_key import (
    load_transport_key,
    new_transport_key,
    public_text,
    save_transport_key,
)
from privacy.errors import BadInput

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_server_certificate_names_its_hosts_and_chains_to_the_authority(tmp_path: Path) -> None:
    authority = load(create_authority(tmp_path, "demo", NOW).certificate)
    server = load(
        issue_server_certificate(tmp_path, ["link.example", "10.0.0.7", "::1"], NOW).certificate
    )
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["link.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.0.0.7"), ip_address("::1")]
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert server.not_valid_after_utc - NOW <= timedelta(days=397)


def test_the_authority_may_sign_servers_but_no_further_authority(tmp_path: Path) -> None:
    authority = load(create_authority(tmp_path, "demo", NOW).certificate)
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert (basic.value.ca, basic.value.path_length) == (True, 0)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_private_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    authority = create_authority(tmp_path, "demo", NOW)
    server = issue_server_certificate(tmp_path, ["localhost"], NOW)
    save_transport_key(new_transport_key(), tmp_path / "node.key")
    for path in (authority.key, server.key, tmp_path / "node.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_authority_is_never_overwritten_and_a_server_certificate_is_renewed(
    tmp_path: Path,
) -> None:
    create_authority(tmp_path, "demo", NOW)
    with pytest.raises(FileExistsError):
        create_authority(tmp_path, "demo", NOW)
    first = load(issue_server_certificate(tmp_path, ["localhost"], NOW).certificate)
    second = load(issue_server_certificate(tmp_path, ["localhost"], NOW).certificate)
    assert first.serial_number != second.serial_number


def test_no_authority_or_no_host_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no transport authority"):
        issue_server_certificate(tmp_path, ["localhost"], NOW)
    create_authority(tmp_path, "demo", NOW)
    with pytest.raises(BadInput, match="needs a host"):
        issue_server_certificate(tmp_path, [], NOW)


def test_a_transport_key_survives_its_file_and_is_not_overwritten(tmp_path: Path) -> None:
    key = new_transport_key()
    save_transport_key(key, tmp_path / "key")
    assert public_text(load_transport_key(tmp_path / "key")) == public_text(key)
    with pytest.raises(FileExistsError):
        save_transport_key(key, tmp_path / "key")


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(BadInput, match="P-384"):
        load_transport_key(path)
    path.write_text("not a key")
    with pytest.raises(BadInput, match="PEM"):
        load_transport_key(path)
