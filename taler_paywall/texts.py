"""The words and the prices of our pages in the reader's language.

Sources: RFC 9110, section 12.5.4 (``Accept-Language``); RFC 4647 (matching of language tags); CLDR, by Babel.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from babel import Locale
from babel.localedata import locale_identifiers
from babel.numbers import format_decimal
from babel.units import format_unit

from taler_paywall.amount import Amount
from taler_paywall.answers import CurrencySpecification
from taler_paywall.errors import ConfigError

if TYPE_CHECKING:
    from babel.messages import Catalog

ENGLISH = "en"

_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
_OURS = Path(__file__).parent / "locale"
_CATALOGUE = Path("LC_MESSAGES", "taler_paywall.po")
_RANGE = re.compile(
    r"\s*(?P<tag>[a-z]{1,8}(?:-[a-z0-9]{1,8})*|\*)\s*(?:;\s*q=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?"
).fullmatch
#: Readers have a few languages; what stands behind a thousand characters is no reader's.
_LONGEST_HEADER = 1000
#: What `%` and `str.format` would fill in, or stumble over.
_PLACEHOLDERS = re.compile(r"%(?:\(\w+\).|.|$)|[{}][^{}]*[{}]?", re.DOTALL).findall


@dataclass(frozen=True, slots=True)
class Texts:
    """Everything that is written for one reader.

    Args:
        language: of the texts (BCP 47).
        locale: whose separators the numbers have; the language's, in the reader's country.
        translations: of our English texts.
    """

    language: str
    locale: Locale = field(repr=False)
    translations: NullTranslations = field(repr=False)

    @property
    def direction(self) -> str:
        """How the language is written: ``ltr`` or ``rtl``, as HTML has it."""
        return self.locale.text_direction

    def gettext(self, text: str) -> str:
        """Translate an English text of ours; one that no catalogue knows stays as it is."""
        # The empty text is where catalogues keep their headers.
        return self.translations.gettext(text) if text else ""

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Translate an English text of ours that depends on a number."""
        return self.translations.ngettext(singular, plural, number)

    def price(self, amount: Amount, specification: CurrencySpecification | None) -> str:
        """Write an amount for people, with every digit that counts: money is never rounded.

        Args:
            amount: what is to be paid.
            specification: of its currency; without one the number stands before the currency's code.
        """
        # The site's own decimal context may round.
        with localcontext(Context(prec=40)):
            value = Decimal(f"{amount.value}.{amount.fraction:08}")
            if specification is None:
                return f"{_written(self.locale, value, 0)}{_NO_BREAK_SPACE}{amount.currency}"
            exponent = _unit(value, specification)
            zeros = max(0, specification.num_fractional_trailing_zero_digits + exponent)
            number = _written(self.locale, value.scaleb(-exponent), zeros)
        name = specification.alt_unit_names[str(exponent)]
        if unicodedata.category(name[-1]) != "Sc":
            return f"{number}{_NO_BREAK_SPACE}{name}"
        pattern = self.locale.currency_formats["standard"]
        before, after = pattern.prefix[0], pattern.suffix[0]
        return f"{before.replace('¤', name)}{number}{after.replace('¤', name)}"

    def duration(self, seconds: int) -> str:
        """Write how long something still lasts, in one unit and never longer than it is.

        Args:
            seconds: what is left; nothing is left below zero.
        """
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            # "90 minutes" says more than "1 hour".
            if seconds >= 2 * size or (unit == "minute" and seconds >= size):
                return format_unit(seconds // size, f"duration-{unit}", locale=self.locale)
        return self.gettext("less than a minute")


@functools.lru_cache(maxsize=1024)
def _written(locale: Locale, value: Decimal, zeros: int) -> str:
    """Write a number of at most eight decimals, of which some are written even if they are zero."""
    whole = locale.decimal_formats[None].pattern.partition(".")[0]
    # Babel knows no digits but 0 to 9 and would mix them with the separators of others.
    return format_decimal(value, f"{whole}.{'0' * zeros:#<8}", locale, numbering_system="latn")


def _unit(value: Decimal, specification: CurrencySpecification) -> int:
    """Return the power of ten of the unit: the currency's own, a smaller one for less than 1 with too many decimals."""
    smaller = [exponent for exponent in map(int, specification.alt_unit_names) if exponent < 0] if value < 1 else []
    units = [0, *sorted(smaller, reverse=True)]
    normal = specification.num_fractional_normal_digits
    return next((unit for unit in units if value == round(value, normal - unit)), units[-1])


class Languages:
    """The languages that a site speaks: ours, and those of its directory of overrides.

    Args:
        directory: may have ``locale/LANGUAGE/LC_MESSAGES/taler_paywall.po``, for new languages and for single texts.

    Raises:
        ConfigError: a catalogue of the site's is broken, or names a language that nobody knows.
    """

    def __init__(self, directory: Path | None) -> None:
        self._site: dict[str, bytes] = {}
        problems = []
        for file in sorted(directory.glob(f"locale/*/{_CATALOGUE}")) if directory else ():
            try:
                tag = file.parts[-3].replace("_", "-")
                self._site[tag] = _compiled(file, tag)
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
                problems.append(f"{file}: {exc}")
        if problems:
            raise ConfigError(problems)
        ours = [path.name for path in sorted(_OURS.iterdir())]
        #: As browsers write them, in lower case, with the names of their catalogues.
        self._tags = {tag.lower(): tag for tag in (ENGLISH, *ours, *self._site)}
        self._texts: dict[tuple[str, str], Texts] = {}

    def best(self, accept_language: str) -> Texts:
        """Return the texts in the language that a reader likes best, English if there is none.

        Args:
            accept_language: the request's header, anything at all.
        """
        wanted, language = self._choose(accept_language)
        # The reader's country writes the numbers: de-CH reads the texts of de.
        name = _locale_name(wanted if wanted.startswith(language.lower()) else language)
        if (language, name) not in self._texts:
            self._texts[language, name] = Texts(language, Locale.parse(name), self._translations(language))
        return self._texts[language, name]

    def _choose(self, accept_language: str) -> tuple[str, str]:
        """Return the range of the header that fits, in lower case, and the language that fits it."""
        parts = map(_RANGE, accept_language[:_LONGEST_HEADER].lower().split(","))
        weights = {part["tag"]: float(part["weight"] or 1) for part in parts if part}
        for wanted in sorted((tag for tag in weights if weights[tag]), key=lambda tag: -weights[tag]):
            nearest = [tag for tag in _shortened(wanted) if tag in self._tags]
            family = [tag for tag in self._tags if tag.startswith(f"{wanted.split('-')[0]}-")]
            any_other = [tag for tag in self._tags if tag not in weights] if wanted == "*" else []
            for tag in (*nearest, *family, *any_other):
                if weights.get(tag, 1):
                    return wanted, self._tags[tag]
        return ENGLISH, ENGLISH

    def _translations(self, language: str) -> NullTranslations:
        """Return the texts of a language: the site's come first, then ours, and English where both are silent."""
        translations = NullTranslations()
        for tag in reversed(list(_shortened(language))):
            ours = _OURS / tag.replace("-", "_") / _CATALOGUE
            for compiled in (_compiled(ours, tag) if ours.is_file() else None, self._site.get(tag)):
                if compiled:
                    fallback, translations = translations, GNUTranslations(BytesIO(compiled))
                    translations.add_fallback(fallback)
        return translations


def _shortened(tag: str) -> Iterator[str]:
    """Return a tag and what it is a special case of: de-CH-1996, de-CH, de (RFC 4647, section 3.4)."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _locale_name(tag: str) -> str:
    """Return the name of the nearest locale that CLDR knows; ValueError for a language that it does not know."""
    # Nothing that a reader sends reaches Babel: it opens files by such names.
    known = next((_locales()[part] for part in _shortened(tag.lower()) if part in _locales()), None)
    if known is None:
        raise ValueError("this is the name of no language; directories have names like it or pt_BR")
    return known


@functools.cache
def _locales() -> dict[str, str]:
    return {name.replace("_", "-").lower(): name for name in locale_identifiers()}


def _compiled(file: Path, tag: str) -> bytes:
    """Read a catalogue as what the standard library's gettext takes; any error of Babel's if it is broken."""
    # Two thirds of the time that Babel takes to load, which sites with readers of English alone never need.
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import PoFileError, read_po  # noqa: PLC0415

    try:
        with file.open("rb") as stream:
            catalogue = read_po(stream, locale=_locale_name(tag), ignore_obsolete=True, abort_invalid=True)
    except PoFileError as exc:
        # Babel counts lines from 0.
        raise ValueError(f"line {exc.lineno + 1}: {str(exc).rpartition(' on ')[0]}") from exc
    _check(catalogue)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    GNUTranslations(BytesIO(compiled.getvalue()))
    return compiled.getvalue()


def _check(catalogue: Catalog) -> None:
    """Drop what is not translated to the end; refuse what would break a page that has to be filled in."""
    for message in list(catalogue):
        ids, texts = _forms(message.id), _forms(message.string)
        if not all(texts):
            # Half a plural would hide the whole one in the catalogue below.
            catalogue.delete(message.id, message.context)
        elif message.id and not set(_PLACEHOLDERS(" ".join(texts))) <= set(_PLACEHOLDERS(" ".join(ids))):
            raise ValueError(f"line {message.lineno}: % and {{}} stand for something, exactly as in the English text")


def _forms(text: str | Sequence[str] | None) -> list[str]:
    """Return a text, or the forms of a plural."""
    return [text] if isinstance(text, str) else list(text or ())
