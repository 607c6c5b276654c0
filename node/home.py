"""A node's folder: settings, keys, documents and databases, each at one known place.

node.toml            settings
keys/identity.key    Ed25519 identity (0600)      keys/transport.pem   transport key (0600)
keys/steward.token   the steward's token (0600)   ca.pem               the coordinator's CA
documents/           dictionary, roster and studies, as signed
desk.sqlite          requests, and members' questions about studies
records.duckdb       members' records             ledger.sqlite        the ledger
links.sqlite         members' one-time links, by their hashes
node.sock            the local socket of the running node
diseases.csv         what this organisation adds to which condition is a kind of which, if anything
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic.dataclasses import dataclass as settings

from privacy.contract.canonical import b64, unb64
from privacy.contract.diseases import KNOWN_DISEASES, Diseases
from privacy.contract.signing import PublicKey, SigningKey
from privacy.errors import BadInput
from privacy.randomness import Entropy
from service.listeners import socket_path
from service.settings_file import CLOSED, Port, read_settings, settings_text


@settings(frozen=True, config=CLOSED)
class Settings:
    """What the IT person may change. Units are in the names."""

    node: str
    name: str
    network: str
    coordinator_url: str
    coordinator_key: str
    fleet_address: str
    host: str = "127.0.0.1"
    port: Port = 0
    slot_milliseconds: int = 100
    memory_megabytes: int = 1536
    member_host: str = "127.0.0.1"  # where the members' page listens, behind a TLS proxy
    member_port: Port = 0  # 0: there is no such page
    member_url: str = ""  # its public address, as https://members.example.org
    engine: str = "duckdb"  # or postgresql, spark: see node.engines.choice
    engine_address: str = ""  # postgresql://user@host/database without a password; Spark's master
    engine_place: str = ""  # PostgreSQL's schema; the folder of the copy that Spark reads

    @property
    def coordinator(self) -> PublicKey:
        return PublicKey.from_text(self.coordinator_key)


def write_private(path: Path, data: bytes) -> None:
    """Create `path` readable by its owner alone; an existing file is replaced atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True)
class Home:
    """The folder of one node."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "node.toml"

    @property
    def identity_file(self) -> Path:
        return self.root / "keys" / "identity.key"

    @property
    def transport_file(self) -> Path:
        return self.root / "keys" / "transport.pem"

    @property
    def steward_file(self) -> Path:
        return self.root / "keys" / "steward.token"

    @property
    def ca_file(self) -> Path:
        return self.root / "ca.pem"

    @property
    def documents(self) -> Path:
        return self.root / "documents"

    @property
    def records_file(self) -> Path:
        return self.root / "records.duckdb"

    @property
    def ledger_file(self) -> Path:
        return self.root / "ledger.sqlite"

    @property
    def desk_file(self) -> Path:
        return self.root / "desk.sqlite"

    @property
    def reviewer_file(self) -> Path:
        return self.root / "keys" / "reviewer.key"

    @property
    def links_file(self) -> Path:
        return self.root / "links.sqlite"

    @property
    def socket_file(self) -> Path:
        """In the folder; where its path is too long for a socket, in a folder of this user's."""
        return socket_path(self.root / "node.sock")

    def diseases(self) -> Diseases:
        """The known map with the lines of diseases.csv (narrow,broad); raises BadInput."""
        path = self.root / "diseases.csv"
        if not path.exists():
            return KNOWN_DISEASES
        lines = path.read_text("utf-8-sig").splitlines()
        return KNOWN_DISEASES.adding(
            _pair(line, f"{path.name}, line {number}")
            for number, line in enumerate(lines, 1)
            if line.strip() and line.strip() != "narrow,broad"
        )

    def settings(self) -> Settings:
        """Read node.toml; raises BadInput naming the file and what is wrong."""
        return read_settings(self.settings_file, Settings, "no node lives here", "cairn-node init")

    def write_settings(self, settings: Settings) -> None:
        write_private(self.settings_file, settings_text(vars(settings)).encode())

    def identity(self) -> SigningKey:
        return SigningKey(unb64(self.identity_file.read_text("ascii").strip()))

    def write_identity(self, key: SigningKey) -> None:
        write_private(self.identity_file, b64(key.secret_bytes()).encode() + b"\n")

    def reviewer(self, entropy: Entropy) -> SigningKey:
        """The key of the organisation's patient reviewers; made when it is first needed."""
        if not self.reviewer_file.exists():
            key = SigningKey(entropy(32))
            write_private(self.reviewer_file, b64(key.secret_bytes()).encode() + b"\n")
        return SigningKey(unb64(self.reviewer_file.read_text("ascii").strip()))

    def steward_token(self) -> str:
        return self.steward_file.read_text("ascii").strip()


def _pair(line: str, where: str) -> tuple[str, str]:
    match [field.strip() for field in line.split(",")]:
        case [narrow, broad]:
            return narrow, broad
        case _:
            raise BadInput("not two ids", where=where, instead="write MONDO:0007103,MONDO:0004976")
