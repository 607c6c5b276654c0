"""Pages in the reader's language: English unless a folder `locale/LANGUAGE` translates it.

There are three catalogues (domains): `coordinator`, `console` and `member`, so that a language can
be there for the one before it is for the others. To add one: `pybabel extract`, `pybabel init -l
LANGUAGE`, translate the .po, `pybabel compile`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from babel import Locale
from babel.core import UnknownLocaleError
from babel.support import NullTranslations, Translations

ENGLISH = "en"
_LOCALE = files("pages") / "locale"


def N_(words: str) -> str:  # noqa: N802 - the name by which texts are found
    """Mark a text for translation where it is written; a template translates it."""
    return words


@cache
def languages(domain: str) -> tuple[str, ...]:
    """The languages that these pages are in, English first."""
    folders = _LOCALE.iterdir() if _LOCALE.is_dir() else ()
    found = (each.name for each in folders if (each / "LC_MESSAGES" / f"{domain}.mo").is_file())
    return (ENGLISH, *sorted(set(found) - {ENGLISH}))


def language_of(accept: str, domain: str) -> str:
    """The language of these pages by a browser's Accept-Language; English for anything else."""
    wanted = []
    for place, part in enumerate(accept.split(",")[:20]):
        name, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), place, name))
        except ValueError:
            continue
    for _, _, name in sorted(wanted):
        for known in (name, name.partition("-")[0]):
            if known.lower() in languages(domain):
                return known.lower()
    return ENGLISH


@cache
def translations(language: str, domain: str) -> NullTranslations:
    """The translations of one of `languages` of these pages."""
    if language == ENGLISH:
        return NullTranslations()
    return Translations.load(str(_LOCALE), [language], domain)


def translated(language: str, domain: str) -> Callable[[str], str]:
    """Says a text of `N_` in this language; any other text as it is, which is escaped later."""
    known = translations(language, domain)
    return lambda words: known.gettext(words) if words else words


def direction(language: str) -> str:
    """Which way the language is written: `ltr` or `rtl`."""
    try:
        return str(Locale.parse(language).text_direction)
    except (UnknownLocaleError, ValueError):
        return "ltr"
