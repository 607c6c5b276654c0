"""A link gets new certificates: a node trusts another authority by one key's word alone."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from coordinator.cli.operator import app as operator
from coordinator.fleet_tls import (
    TlsFiles,
    authority_files,
    create_authority,
    issue_server_certificate,
    server_files,
)
from coordinator.home import Home, Settings
from coordinator.store.store import Store
from coordinator.tls_rotation import fault_of, renew_authority, renew_server
from node.cli import app
from node.tls_authority import take_authority
from privacy.contract.canonical import canonical_bytes
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.contract.tls_authority import AUTHORITY, TlsAuthority
from privacy.errors import BadInput, CairnError, VerificationFailed
from tests.support.ledger_factory import signing_key
from tests.support.network import COORDINATOR, Network

NODE = "als-union"
HOSTS = ["link.example", "127.0.0.1"]
NOW = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "coordinator")
    made.tls.mkdir(parents=True)
    create_authority(made.tls, "test", datetime.now(UTC))
    issue_server_certificate(made.tls, HOSTS, NOW)
    made.write_identity(COORDINATOR)
    made.write_settings(Settings(network="test"))
    Store.open(made.database_url(made.settings())).close()
    return made


def shaken(server: TlsFiles, authority: Path) -> bool:
    """Whether a client that trusts `authority` alone takes the server, in memory."""
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.load_cert_chain(server.certificate, server.key)
    theirs.load_verify_locations(authority)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = theirs.wrap_bio(down, up, server_hostname="link.example")
    served = ours.wrap_bio(up, down, server_side=True)
    for _ in range(3):
        for side in (client, served):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_a_new_server_certificate_is_taken_by_who_knew_the_authority(home: Home) -> None:
    known = authority_files(home.tls).certificate
    before = server_files(home.tls).certificate.read_bytes()
    renew_server(home, datetime.now(UTC))
    assert server_files(home.tls).certificate.read_bytes() != before
    assert shaken(server_files(home.tls), known)
    names = x509.load_pem_x509_certificate(server_files(home.tls).certificate.read_bytes())
    said = names.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert said.get_values_for_type(x509.DNSName) == ["link.example"]


def test_a_new_authority_is_taken_by_whoever_was_told(home: Home, network: Network) -> None:
    node = network.nodes[NODE].home
    node.ca_file.write_bytes(authority_files(home.tls).certificate.read_bytes())
    told = renew_authority(home, "test", datetime.now(UTC))
    assert not shaken(server_files(home.tls), node.ca_file)
    text = canonical_bytes(told.to_json()).decode()
    assert len(take_authority(node, text, COORDINATOR.public)) == 64
    assert shaken(server_files(home.tls), node.ca_file)
    assert home.tls.joinpath("ca.key").stat().st_mode & 0o077 == 0
    assert not (home.tls / "next").exists()


def _told(home: Home, key: SigningKey = COORDINATOR, **changes: str) -> str:
    said = TlsAuthority(
        network="test",
        certificate=authority_files(home.tls).certificate.read_text(),
        at=instant_text(NOW),
    )
    body = said.to_json() | changes
    return canonical_bytes(Envelope.seal(AUTHORITY, body, key).to_json()).decode()


def test_no_forged_authority_is_trusted(home: Home, network: Network) -> None:
    node = network.nodes[NODE].home
    before = node.ca_file.read_bytes()
    server = server_files(home.tls).certificate.read_text()
    roster = Envelope.seal("roster", {"network": "test"}, COORDINATOR).to_json()
    forged: dict[str, tuple[str, type[CairnError]]] = {
        "another key": (_told(home, signing_key("thief")), VerificationFailed),
        "another network": (_told(home, network="other"), VerificationFailed),
        "no authority": (_told(home, certificate=server), BadInput),
        "no certificate": (_told(home, certificate="-----BEGIN"), BadInput),
        "changed": (_told(home).replace("test", "tset"), CairnError),
        "another statement": (canonical_bytes(roster).decode(), CairnError),
        "nothing": ("", BadInput),
    }
    for name, (text, error) in forged.items():
        with pytest.raises(error):
            take_authority(node, text, COORDINATOR.public)
        assert node.ca_file.read_bytes() == before, name


def test_both_commands(home: Home, network: Network, tmp_path: Path) -> None:
    file = tmp_path / "authority.json"

    def run(*line: str) -> Result:
        return CliRunner().invoke(operator, [*line, "--dir", str(home.root)])

    assert run("rotate-tls").stdout == "changed; nodes have nothing to do\n"
    done = run("rotate-tls", "--authority", str(file))
    assert done.exit_code == 0, done.stderr
    network.nodes[NODE].stop()
    where = network.nodes[NODE].home
    taken = CliRunner().invoke(app, ["take-authority", str(file), "--dir", str(where.root)])
    assert taken.exit_code == 0, taken.stderr
    assert where.ca_file.read_bytes() == authority_files(home.tls).certificate.read_bytes()
    file.write_text(file.read_text().replace("test", "tset"))
    wrong = CliRunner().invoke(app, ["take-authority", str(file), "--dir", str(where.root)])
    assert wrong.exit_code in (2, 6)


def test_an_end_that_is_near_is_said(home: Home) -> None:
    assert fault_of(home, NOW) == ""
    assert "ends on 2027-04-11" in fault_of(home, NOW + timedelta(days=380))
    server_files(home.tls).certificate.unlink()
    assert "missing" in fault_of(home, NOW)
