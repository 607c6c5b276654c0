"""HTTP to the coordinator: one connection pool, errors as exceptions, retries that are safe."""

from __future__ import annotations

import ipaddress
import ssl
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from coordinator.client.errors import Refused, Unreachable, refusal
from privacy.errors import BadInput, Code

_TRIES = 4
_PAUSE_SECONDS = 0.2
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Download:
    """A large answer: its bytes from `start` on, of `size` in all (0: not said), known by `tag`."""

    pieces: Iterator[bytes]
    start: int
    size: int
    tag: str


class Transport:
    """Speaks to one coordinator with one bearer credential, which never prints.

    `bearer` is the credential, or what gives one that is good now.
    """

    def __init__(
        self,
        url: str,
        bearer: str | Callable[[], str] | None,
        ca: str | Path | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = checked_url(url)
        self._bearer = bearer
        self._client = httpx.Client(
            base_url=self.url,
            verify=_trust(ca) if self.url.startswith("https:") else True,
            timeout=_TIMEOUT_SECONDS,
            trust_env=not _loopback(httpx.URL(self.url).host),
            transport=transport,
            follow_redirects=False,
        )
        weakref.finalize(self, self._client.close)

    def get(self, path: str, *, wait_seconds: float = 0.0, **query: str | float) -> Any:
        """The JSON answer to a GET; raises Refused, Unreachable."""
        return self._json("GET", path, wait_seconds, params=query)

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        key: str = "",
        wait_seconds: float = 0.0,
    ) -> Any:
        """The JSON answer to a POST, tried again on a broken line only under a `key`."""
        headers = {"Idempotency-Key": key} if key else {}
        if wait_seconds:
            headers["Prefer"] = f"wait={int(wait_seconds)}"
        return self._json("POST", path, wait_seconds, json=body, headers=headers)

    @contextmanager
    def download(
        self, path: str, timeout_seconds: float, *, start: int = 0, tag: str = ""
    ) -> Iterator[Download]:
        """A large answer, piece by piece; from byte `start` on, if it is still that of `tag`."""
        wanted = {"Range": f"bytes={start}-", "If-Range": tag} if start and tag else {}
        headers = {**self._headers(wanted), "Accept-Encoding": "identity"}
        try:
            with self._client.stream(
                "GET", path, headers=headers, timeout=timeout_seconds
            ) as response:
                if response.status_code not in (200, 206):
                    response.read()
                    raise _error(response)
                yield _download(response, start)
        except httpx.TransportError as error:
            raise Unreachable(self.url, type(error).__name__) from None

    def close(self) -> None:
        self._client.close()

    def _headers(self, extra: Mapping[str, str]) -> dict[str, str]:
        bearer = self._bearer() if callable(self._bearer) else self._bearer
        signed = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return {**signed, **extra}

    def _json(
        self,
        method: str,
        path: str,
        wait_seconds: float,
        *,
        params: Mapping[str, str | float] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        sent = self._headers(headers or {})
        again = method == "GET" or "Idempotency-Key" in sent
        request = self._client.build_request(
            method,
            path,
            params=params,
            json=json,
            headers=sent,
            timeout=_TIMEOUT_SECONDS + wait_seconds,
        )
        response = self._send(request, _TRIES if again else 1)
        if not 200 <= response.status_code < 300:
            raise _error(response)
        try:
            return response.json()
        except ValueError:
            raise Unreachable(self.url, "not a Cairn coordinator") from None

    def _send(self, request: httpx.Request, tries: int) -> httpx.Response:
        for left in reversed(range(tries)):
            try:
                return self._client.send(request)
            except httpx.TransportError as error:
                if not left or isinstance(error, httpx.UnsupportedProtocol):
                    raise Unreachable(self.url, type(error).__name__) from None
                time.sleep(_PAUSE_SECONDS * (tries - left))
        raise Unreachable(self.url, "no try left")

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"


def _download(response: httpx.Response, asked: int) -> Download:
    start = asked if response.status_code == 206 else 0
    length = response.headers.get("content-length", "")
    size = start + int(length) if length.isdecimal() else 0
    return Download(response.iter_bytes(), start, size, response.headers.get("etag", ""))


def _error(response: httpx.Response) -> Refused:
    """The problem that the coordinator sent, as an exception."""
    try:
        body = response.json()
        return refusal(Code(body["code"]), str(body["title"]), dict(body["fields"]))
    except (ValueError, KeyError, TypeError):
        return Refused(Code.INTERNAL, f"The coordinator answered HTTP {response.status_code}.")


def checked_url(url: str) -> str:
    """The base URL; a credential goes over plain http to this machine alone."""
    found = httpx.URL(url.rstrip("/"))
    if found.scheme not in ("http", "https") or not found.host:
        raise BadInput("not a coordinator's address", where="url", instead="https://… or mock:DIR")
    if found.scheme == "http" and not _loopback(found.host):
        raise BadInput("a token is not sent over plain http", where="url", instead="use https://")
    return str(found).rstrip("/")


def is_path_part(name: object) -> bool:
    """Whether a name can stand in an address as it is."""
    if not isinstance(name, str) or not name or name[0] == ".":
        return False
    return all(sign.isalnum() or sign in "-_." for sign in name)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _trust(ca: str | Path | None) -> ssl.SSLContext:
    """The system's authorities, or only the one in `ca` (a PEM file)."""
    if ca is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError):
        raise BadInput("not a file of PEM certificates", where=str(ca)) from None


def path_part(name: str) -> str:
    """The name, as a part of an address; raises Refused for what cannot be one."""
    if not is_path_part(name):
        raise Refused(Code.UNKNOWN_STUDY, f"There is no study {name!r} for you.")
    return name
