"""A form as it was sent: what was typed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlencode

from fastapi import Request

from privacy.errors import BadInput, Code, Refused

MAX_BYTES = 64 * 1024
MAX_FIELDS = 64
_NOT_TYPED = frozenset({"csrf", "sure"})


@dataclass(frozen=True)
class Form:
    """Fields by name; `trouble` is what went wrong as a whole, with its catalogue `code`."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wrongs: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""
    code: str = ""

    def value(self, name: str, otherwise: str = "") -> str:
        """What was typed, without spaces around it."""
        return self.fields.get(name, (otherwise,))[0].strip()

    def values(self, name: str) -> tuple[str, ...]:
        """All that was chosen."""
        return tuple(each.strip() for each in self.fields.get(name, ()) if each.strip())

    def wrong(self, name: str) -> str:
        """What is wrong with a field; "" for nothing."""
        return self.wrongs.get(name, "")

    @property
    def typed(self) -> Mapping[str, tuple[str, ...]]:
        """The fields without what belongs to a session, and without a decision, which is made
        anew."""
        return {name: values for name, values in self.fields.items() if name not in _NOT_TYPED}

    @property
    def query(self) -> str:
        """What was typed, as it stands in an address."""
        return urlencode(self.typed, doseq=True)

    def with_value(self, name: str, value: str) -> Form:
        return replace(self, fields={**self.fields, name: (value,)})

    def with_trouble(self, trouble: str, code: str = "") -> Form:
        return replace(self, trouble=trouble, code=code)

    def with_wrong(self, name: str, words: str) -> Form:
        return replace(self, wrongs={**self.wrongs, name: words})


def from_here(request: Request) -> bool:
    """Whether no other site had the browser send this form."""
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def check_from_here(request: Request) -> None:
    """Raises Refused(NOT_PERMITTED) for a form that another site had the browser send.

    For forms that open a session, before there is one whose secret they could carry: no other site
    opens one in somebody else's name.
    """
    if not from_here(request):
        raise Refused(Code.NOT_PERMITTED, what="origin")


def form_of_text(text: str, most: int = MAX_FIELDS) -> Form:
    """A form as browsers write it; raises BadInput for one too large to be of a page here."""
    try:
        said = parse_qs(text, keep_blank_values=True, max_num_fields=most)
    except ValueError:
        raise BadInput("not a form of this page", where="form") from None
    return Form({name: tuple(values) for name, values in said.items()})


async def form_of(request: Request, most: int = MAX_FIELDS) -> Form:
    """The form that was posted, of at most so many fields."""
    body = await request.body()
    largest = MAX_BYTES * max(1, most // MAX_FIELDS)
    if len(body) > largest:
        raise BadInput(f"more than {largest:,} bytes", where="form")
    return form_of_text(body.decode("utf-8", "replace"), most)
