"""A session kept on this machine, in files that their owner alone can read (0600).

    NAME.json   the access and refresh token of one coordinator, replaced at every refresh
    NAME.key    the token whose key signs questions; of it only the public key was ever sent

The folder is CAIRN_SESSIONS, or cairn/sessions where the system keeps a user's state.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coordinator.client.errors import NotSignedIn
from coordinator.client.transport import Transport, checked_url
from privacy.contract.canonical import sha256_hex
from privacy.contract.time import parse_instant
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, Code

_EARLY = timedelta(seconds=30)  # an access token is replaced so long before its end
_OVER = "The session is over. Sign in with `cairn login`."


def sessions_folder() -> Path:
    """Where sessions are kept."""
    named = os.environ.get("CAIRN_SESSIONS")
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "cairn" / "sessions"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class KeptSession:
    """The session at one coordinator. `bearer` refreshes it when it has to be."""

    url: str
    ca: str | Path | None = None
    folder: Path = field(default_factory=sessions_folder)
    clock: Callable[[], datetime] = _now

    @property
    def file(self) -> Path:
        return self.folder / f"{self._name}.json"

    @property
    def key_file(self) -> Path:
        return self.folder / f"{self._name}.key"

    @property
    def _name(self) -> str:
        return sha256_hex(checked_url(self.url).encode())[:24]

    @property
    def exists(self) -> bool:
        return self.file.is_file()

    def keep(self, said: Mapping[str, Any]) -> None:
        """Store what the coordinator said of a session."""
        names = ("access", "refresh", "access_expires", "expires")
        self._write(self.file, json.dumps({"url": self.url, **{n: said[n] for n in names}}))

    def bearer(self) -> str:
        """An access token that is good now; raises NotSignedIn once the session is over.

        Processes that share the session take turns: a refresh token works once.
        """
        with self._alone():
            said = self._read()
            if parse_instant(said["access_expires"]) - self.clock() < _EARLY:
                said = self._refreshed(said)
            return str(said["access"])

    def forget(self) -> None:
        """Remove the session; the key that signs stays."""
        with suppress(FileNotFoundError):
            self.file.unlink()

    def token(self) -> Token | None:
        """The token whose key signs questions, if it was made on this machine."""
        try:
            return Token.parse(self.key_file.read_text("ascii"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            raise BadInput("cannot be read", where=str(self.key_file)) from None

    def keep_token(self, token: Token) -> None:
        """Store the token that signs; raises BadInput rather than replace another."""
        if self.key_file.exists():
            raise BadInput("there is a signing key already", where=str(self.key_file))
        self._write(self.key_file, token.text + "\n")

    def next_token(self, entropy: Callable[[int], bytes]) -> Token:
        """The token that is to take the key's place: made once, and found again until it does."""
        path = self._next_file
        if not path.exists():
            self._write(path, Token.new(Role.RESEARCHER, entropy).text + "\n")
        return Token.parse(path.read_text("ascii"))

    def use_next(self) -> None:
        """Sign with it from now on."""
        self._next_file.replace(self.key_file)

    @property
    def _next_file(self) -> Path:
        return self.key_file.with_suffix(".next")

    def _refreshed(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        transport = Transport(self.url, None, self.ca)
        try:
            fresh: Mapping[str, Any] = transport.post(
                "/v1/login/refresh", {"refresh": said["refresh"]}
            )
        except NotSignedIn:
            self.forget()
            raise NotSignedIn(Code.NOT_SIGNED_IN, _OVER) from None
        finally:
            transport.close()
        self.keep(fresh)
        return fresh

    def _read(self) -> Mapping[str, Any]:
        try:
            said: Mapping[str, Any] = json.loads(self.file.read_text("utf-8"))
            _ = said["access"], said["refresh"], said["access_expires"]
        except FileNotFoundError:
            raise NotSignedIn(Code.NOT_SIGNED_IN, _OVER) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise BadInput("is not a session", where=str(self.file)) from None
        return said

    def _write(self, path: Path, text: str) -> None:
        """All of it or nothing, never readable by others, not even for a moment."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.folder)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise BadInput("cannot be written", where=str(path)) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.folder.is_dir():
            raise NotSignedIn(Code.NOT_SIGNED_IN, _OVER)
        with (self.folder / f"{self._name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def __repr__(self) -> str:
        return f"KeptSession({self.url!r})"
