"""Languages and prices: nothing untranslated, every reader understood, and no digit of a price lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from taler_paywall.amount import MAX_VALUE, Amount
from taler_paywall.answers import CurrencySpecification
from taler_paywall.errors import ConfigError
from taler_paywall.texts import Languages, Texts

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "taler_paywall"
LANGUAGES = ["de", "fr"]
SPACE, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
QUOTE = "\N{RIGHT SINGLE QUOTATION MARK}"
EURO = CurrencySpecification(2, 2, {"0": "€", "-2": "ct"})
KUDOS = CurrencySpecification(2, 1, {"0": "KUDOS", "-3": "mKUDOS", "-6": "µKUDOS", "3": "kKUDOS"})
LARGE = CurrencySpecification(2, 2, {"0": "EUR", "3": "kEUR"})
YEN = CurrencySpecification(0, 0, {"0": "¥"})


@pytest.fixture(scope="module")
def texts_in_use() -> Catalog:
    """Return every text of the package and its templates."""
    methods = [("*.py", "python"), ("templates/*", "jinja2")]
    options = {"templates/*": {"silent": "false", "newstyle_gettext": "true"}}
    catalogue = Catalog()
    for file, line, text, comments, context in extract_from_dir(PACKAGE, methods, options):
        catalogue.add(text, None, [(file, line)], auto_comments=comments, context=context)
    return catalogue


def read(language: str) -> Catalog:
    """Return a catalogue of the package."""
    with (PACKAGE / "locale" / language / "LC_MESSAGES" / "taler_paywall.po").open("rb") as file:
        return read_po(file, language, abort_invalid=True)


def faults(catalogue: Catalog, texts: Catalog) -> Iterator[str]:
    """Yield what is wrong with a catalogue: texts, placeholders and typography."""
    needed, there = {message.id for message in texts if message.id}, {message.id for message in catalogue if message.id}
    yield from (f"missing: {text}" for text in needed - there)
    yield from (f"superfluous: {text}" for text in there - needed)
    yield from (f"obsolete: {text}" for text in catalogue.obsolete)
    for message in catalogue:
        if not message.id:
            continue
        ids, strings = ([part] if isinstance(part, str) else list(part or ()) for part in (message.id, message.string))
        if message.fuzzy or not all(strings):
            yield f"unfinished: {message.id}"
        for string in strings:
            if set(re.findall(r"%\(\w+\).|%|[{}]", string)) != set(re.findall(r"%\(\w+\).|%|[{}]", ids[-1])):
                yield f"placeholders: {string}"
            if re.search(r"""['"]|\s$|^\s| {2}""", string):
                yield f"typography: {string}"
            if str(catalogue.locale) == "fr" and re.search(rf"(?<!{NARROW})[?!:;]", string):
                yield f"typography: {string}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there(language: str, texts_in_use: Catalog) -> None:
    """No text of the package is missing in any language, and none is there that nobody needs."""
    assert len(texts_in_use) > 40
    assert not list(faults(read(language), texts_in_use))


@pytest.mark.parametrize(
    ("text", "change", "fault"),
    [
        ("Pay", None, "missing"),
        ("Nobody says this", "Ça", "superfluous"),
        ("Pay", "", "unfinished"),
        ("Time left to pay: %(left)s", "Temps restant", "placeholders"),
        ("Pay", "100 %", "placeholders"),
        ("Pay", "Payer l'article", "typography"),
        ("No wallet yet?", "Pas de portefeuille ?", "typography"),
    ],
)
def test_faults_of_catalogues_are_found(text: str, change: str | None, fault: str, texts_in_use: Catalog) -> None:
    """What the other test would see is seen."""
    catalogue = read("fr")
    catalogue.delete(text)
    if change is not None:
        catalogue.add(text, change)
    found = set(faults(catalogue, texts_in_use)) - set(faults(read("fr"), texts_in_use))
    assert [line.partition(":")[0] for line in found] == [fault]


def test_fuzzy_and_obsolete_texts_are_found(texts_in_use: Catalog) -> None:
    """A text that waits for its translator is no translation."""
    catalogue = read("fr")
    catalogue["Pay"].flags.add("fuzzy")
    catalogue.obsolete["Old"] = catalogue["Pay"]
    found = set(faults(catalogue, texts_in_use)) - set(faults(read("fr"), texts_in_use))
    assert found == {"unfinished: Pay", "obsolete: Old"}


@pytest.mark.parametrize(
    ("header", "language", "locale"),
    [
        ("", "en", "en"),
        ("de", "de", "de"),
        ("DE-ch", "de", "de_CH"),
        ("de-CH-1996, de;q=0.9", "de", "de_CH"),
        ("de-XX", "de", "de"),
        ("de-Latn-DE", "de", "de"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr", "fr_CH"),
        ("en-US,en;q=0.9,de;q=0.8", "en", "en_US"),
        ("de;q=0.3 , fr;Q=0.31", "fr", "fr"),
        ("nl, de;q=0.5", "de", "de"),
        ("nl", "en", "en"),
        ("den, fri;q=0.9, x-fr", "en", "en"),
        ("*", "en", "en"),
        ("*, de;q=0.5", "en", "en"),
        ("en;q=0, *", "de", "de"),
        ("en;q=0.1, *", "de", "de"),
        ("de-CH;q=0", "en", "en"),
        (" " * 998 + "de", "de", "de"),
        (" " * 1000 + "de", "en", "en"),
        ("en;q=0, de;q=0.000, *;q=0.1", "fr", "fr"),
        ("*;q=0, fr;q=0.1", "fr", "fr"),
        ("en;q=0, de;q=0, fr;q=0, *", "en", "en"),
        ("de;q=0, de-CH", "en", "en"),
        ("de-CH;q=0, de", "de", "de"),
        ("de;q=0, fr;q=0.1", "fr", "fr"),
        ("de;q=2, fr;q=1.000", "fr", "fr"),
        ("de;q=0.1234, fr;q=nan, en;q=-1", "en", "en"),
        ("de;level=1, fr", "fr", "fr"),
        ("../../de, de_DE, \uff24\uff25, fr", "fr", "fr"),
    ],
)
def test_the_best_language(header: str, language: str, locale: str) -> None:
    """The reader's first language that there is, with the numbers of their country."""
    texts = Languages(None).best(header)
    assert (texts.language, str(texts.locale)) == (language, locale)


@pytest.mark.parametrize(
    "header", ["de," * 3000, "a-" * 4096, ";q=" * 3000, "-" * 8192, " " * 8192, "\x00\n\udcff" * 99]
)
def test_long_garbage_is_harmless(header: str) -> None:
    """Eight kibibytes of anything are answered in one of our languages."""
    assert Languages(None).best(header).language == ("de" if header.startswith("de") else "en")


@given(st.text(st.sampled_from(list("defrn-*;q=,.015 \t\u00e9\u0130")) | st.characters(), max_size=60))
def test_any_header_has_an_answer(header: str) -> None:
    """Whatever a reader sends, there is a language."""
    assert Languages(None).best(header).gettext("Pay") in {"Pay", "Bezahlen", "Payer"}


@pytest.mark.parametrize(
    ("reader", "amount", "specification", "written"),
    [
        ("en", "EUR:0.5", EURO, "€0.50"),
        ("de", "EUR:0.5", EURO, "0,50 €"),
        ("fr", "EUR:1234.5", EURO, f"1{NARROW}234,50 €"),
        ("de-CH", "EUR:1234567.5", EURO, f"€ 1{QUOTE}234{QUOTE}567.50"),
        ("de-AT", "EUR:0.5", EURO, "€ 0,50"),
        ("en-IN", "EUR:1234567", EURO, "€12,34,567.00"),
        ("en", "EUR:0", EURO, "€0.00"),
        ("en", "EUR:1", EURO, "€1.00"),
        ("en", "EUR:1.005", EURO, "€1.005"),
        ("de", "EUR:0.005", EURO, "0,5 ct"),
        ("en", "JPY:1000", YEN, "¥1,000"),
        ("en", "KUDOS:0.5", KUDOS, "0.5 KUDOS"),
        ("de", "KUDOS:0.55", KUDOS, "0,55 KUDOS"),
        ("de-CH", "KUDOS:0.5", KUDOS, "0.5 KUDOS"),
        ("en", "KUDOS:1000", KUDOS, "1,000.0 KUDOS"),
        ("en", "KUDOS:0.00012", KUDOS, "0.12 mKUDOS"),
        ("en", "KUDOS:0.00012345", KUDOS, "123.45 µKUDOS"),
        ("en", "KUDOS:0.00000001", KUDOS, "0.01 µKUDOS"),
        ("en", "EUR:0.00012345", EURO, "0.012345 ct"),
        ("en", "EUR:0.00012345", LARGE, "0.00012345 EUR"),
        ("en", "KUDOS:0.5", None, "0.5 KUDOS"),
        ("de", "KUDOS:1234.00000001", None, "1.234,00000001 KUDOS"),
        ("fr", f"KUDOS:{MAX_VALUE}.99999999", None, "4.503.599.627.370.496,99999999 KUDOS".replace(".", NARROW)),
    ],
)
def test_prices(reader: str, amount: str, specification: CurrencySpecification | None, written: str) -> None:
    """The currency's units and decimals, the reader's separators, and no line break inside."""
    price = Languages(None).best(reader).price(Amount.parse(amount), specification)
    assert price == written.replace(" ", SPACE)


@given(
    st.builds(Amount, st.just("KUDOS"), st.integers(0, MAX_VALUE) | st.integers(0, 2), st.integers(0, 10**8 - 1)),
    st.sampled_from(["en", "de", "fr", "de-CH"]),
    st.none()
    | st.builds(
        CurrencySpecification,
        st.integers(0, 8),
        st.integers(0, 8),
        st.sets(st.sampled_from(["-2", "-3", "-6", "-8", "-12"])).map(
            lambda smaller: {"0": "unit"} | {exponent: "unit" + "s" * -int(exponent) for exponent in smaller}
        ),
    ),
)
def test_no_digit_is_lost(amount: Amount, reader: str, specification: CurrencySpecification | None) -> None:
    """What is written is exactly what is to be paid, even where the site rounds its own decimals."""
    texts = Languages(None).best(reader)
    with localcontext(Context(prec=3)):
        price = texts.price(amount, specification)
    number, name = price.split(SPACE)
    point = "." if reader in {"en", "de-CH"} else ","
    digits = re.sub(rf"[^0-9{point}]", "", number).replace(point, ".")
    units = {unit: int(exponent) for exponent, unit in (specification.alt_unit_names if specification else {}).items()}
    assert Decimal(digits).scaleb(units.get(name, 0)) == Decimal(f"{amount.value}.{amount.fraction:08}")


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (-5, "less than a minute", "weniger als eine Minute"),
        (59, "less than a minute", "weniger als eine Minute"),
        (60, "1 minute", "1 Minute"),
        (300, "5 minutes", "5 Minuten"),
        (7199, "119 minutes", "119 Minuten"),
        (7200, "2 hours", "2 Stunden"),
        (23 * 3600 + 3599, "23 hours", "23 Stunden"),
        (10**8, "1,157 days", "1.157 Tage"),
    ],
)
def test_durations(seconds: int, english: str, german: str) -> None:
    """How long something lasts, never longer than it does."""
    languages = Languages(None)
    assert [languages.best(reader).duration(seconds) for reader in ("en", "de")] == [english, german]


def write(directory: Path, language: str, *lines: str, header: str = "") -> Path:
    """Write a catalogue of a site."""
    file = directory / "locale" / language / "LC_MESSAGES" / "taler_paywall.po"
    file.parent.mkdir(parents=True)
    start = f'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n{header}"\n\n' if header else ""
    file.write_text(start + "\n".join(lines) + "\n")
    return file


def said(texts: Texts) -> tuple[str, str]:
    """Return two texts."""
    return texts.gettext("Pay"), texts.gettext("Buy")


def test_a_language_of_the_site(tmp_path: Path) -> None:
    """A catalogue of the site's adds a language, with its numbers and its direction; the rest is English."""
    write(tmp_path, "it", 'msgid "Pay"\nmsgstr "Paga"')
    write(tmp_path, "ar", 'msgid "Pay"\nmsgstr "ادفع"')
    write(tmp_path, "he", 'msgid "Pay"\nmsgstr "לשלם"')
    write(tmp_path, "pt_BR", 'msgid "Pay"\nmsgstr "Pagar"')
    languages = Languages(tmp_path)
    italian = languages.best("it-CH")
    assert (italian.language, italian.direction, said(italian)) == ("it", "ltr", ("Paga", "Buy"))
    assert italian.price(Amount.parse("KUDOS:1234.5"), None) == f"1{QUOTE}234.5{SPACE}KUDOS"
    assert languages.best("it").price(Amount.parse("KUDOS:1234.5"), None) == f"1.234,5{SPACE}KUDOS"
    assert languages.best("he").direction == "rtl"
    # Babel has no digits of Arabic's own, so the separators must not be, either.
    assert languages.best("ar-EG").price(Amount.parse("KUDOS:1234.5"), None) == f"1,234.5{SPACE}KUDOS"
    # Portuguese of another country is nearer than English.
    assert [languages.best(reader).language for reader in ("pt-BR", "pt-PT", "pt", "it;q=0, pt;q=0.1")] == ["pt-BR"] * 4
    assert str(languages.best("pt-PT").locale) == "pt_BR"
    assert Languages(None).best("it").language == "en"


def test_texts_of_the_site_come_first(tmp_path: Path) -> None:
    """Single texts are replaced, in any language; the others stay."""
    write(tmp_path, "de", 'msgid "Pay"\nmsgstr "Zahlen"')
    write(tmp_path, "de_AT", 'msgid "Buy"\nmsgstr "Erwerben"')
    write(tmp_path, "en", 'msgid "Pay"\nmsgstr "Support us"')
    languages = Languages(tmp_path)
    assert said(languages.best("de")) == ("Zahlen", "Kaufen")
    assert said(languages.best("de-AT")) == ("Zahlen", "Erwerben")
    assert said(languages.best("de-CH")) == ("Zahlen", "Kaufen")
    assert said(languages.best("en-GB")) == ("Support us", "Buy")
    assert said(languages.best("fr")) == ("Payer", "Acheter")
    assert (languages.best("de-AT").language, languages.best("de-CH").language) == ("de-AT", "de")
    # One site's texts are not another's.
    assert said(Languages(None).best("de")) == ("Bezahlen", "Kaufen")


def test_numbers_in_texts(tmp_path: Path) -> None:
    """Plurals by the rule of the language; a half translated one is English."""
    plural = 'msgid "%(n)s day"\nmsgid_plural "%(n)s days"\n'
    write(tmp_path, "pl", plural + 'msgstr[0] "%(n)s dzień"\nmsgstr[1] "%(n)s dni"\nmsgstr[2] "%(n)s dnia"')
    write(tmp_path, "it", plural + 'msgstr[0] "%(n)s giorno"\nmsgstr[1] ""')
    languages = Languages(tmp_path)
    for reader, expected in (("pl", "%(n)s dzień/%(n)s dni/%(n)s dnia"), ("it", "%(n)s day/%(n)s days/%(n)s days")):
        texts = languages.best(reader)
        assert "/".join(texts.ngettext("%(n)s day", "%(n)s days", number) for number in (1, 2, 5)) == expected


def test_the_empty_text_is_empty() -> None:
    """Catalogues keep their headers under the empty text; no reader sees them."""
    assert Languages(None).best("de").gettext("") == ""


def test_what_is_not_ready_is_not_shown(tmp_path: Path) -> None:
    """Fuzzy and empty texts of a site leave ours in place."""
    write(tmp_path, "de", '#, fuzzy\nmsgid "Pay"\nmsgstr "Zahlen?"\n\nmsgid "Buy"\nmsgstr ""')
    assert said(Languages(tmp_path).best("de")) == ("Bezahlen", "Kaufen")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'msgid "Pay"\nmsgstr "Zahlen"\nmsgstr[7] "x"\nnonsense', "line 4: "),
        (b'msgid "Pay"\n\nmsgid "Buy"\nmsgstr "Kaufen"', ""),
        (b'msgid "Pay"\nmsgstr "\xff"', "utf-8"),
        (b'msgid ""\nmsgstr "Content-Type: text/plain; charset=nothing\\n"', "nothing"),
        (b'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=n!;\\n"', "plural"),
        (b'msgid ""\nmsgstr "PO-Revision-Date: yesterday\\n"', ""),
        (b'msgid ""\nmsgstr "PO-Revision-Date: 2026-11-22 10:00+0000\\n x\\n"', ""),
        (b'msgid "Pay"\nmsgstr "100 % Zahlen"', "line 1: % and {} stand for something"),
        (b'msgid "Pay"\nmsgstr "{price}"', "% and {}"),
        (b'msgid "left: %(left)s"\nmsgstr "%(rest)s"', "% and {}"),
        (b'msgid "left: %(left)s"\nmsgstr "%(left)d"', "% and {}"),
    ],
)
def test_broken_catalogues_stop_the_start(content: bytes, reason: str, tmp_path: Path) -> None:
    """A broken catalogue of the site's is named, with the reason, before any reader comes."""
    file = write(tmp_path, "de")
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        Languages(tmp_path)
    assert [reason in problem and problem.startswith(f"{file}: ") for problem in raised.value.problems] == [True]


def test_every_broken_catalogue_is_named(tmp_path: Path) -> None:
    """All mistakes at once: an unreadable file, and a directory that no language has for a name."""
    write(tmp_path, "de").unlink()
    (tmp_path / "locale/de/LC_MESSAGES/taler_paywall.po").mkdir()
    write(tmp_path, "german", 'msgid "Pay"\nmsgstr "Zahlen"')
    write(tmp_path, "it", 'msgid "Pay"\nmsgstr "Paga"')
    with pytest.raises(ConfigError) as raised:
        Languages(tmp_path)
    unreadable, unknown = raised.value.problems
    assert "Is a directory" in unreadable
    assert "names like it or pt_BR" in unknown


def test_the_manual_adds_a_language(tmp_path: Path) -> None:
    """The commands of docs/languages.md, one after the other, make a language that a site then speaks."""
    manual = (ROOT / "docs/languages.md").read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", manual, re.M | re.S)
    catalogue = tmp_path / "templates/locale/it/LC_MESSAGES/taler_paywall.po"
    assert len(blocks) == 3
    shell(blocks[0], tmp_path)
    texts = catalogue.read_text()
    assert texts.count('\nmsgid "Pay"\nmsgstr ""\n') == 1
    done = texts.replace('\nmsgid "Pay"\nmsgstr ""\n', '\nmsgid "Pay"\nmsgstr "Paga"\n')
    catalogue.write_text(done.replace('msgid "Buy"', 'msgid "Gone"'))
    assert "1 of " in shell(blocks[1], tmp_path)
    shell(blocks[2], tmp_path)
    assert ('"Buy"' in catalogue.read_text(), '"Gone"' in catalogue.read_text()) == (True, False)
    assert said(Languages(tmp_path / "templates").best("it")) == ("Paga", "Buy")
    [replaced] = re.findall(r"^```po\n(.*?)^```", manual, re.M | re.S)
    write(tmp_path / "templates", "de", replaced)
    assert said(Languages(tmp_path / "templates").best("de")) == ("Jetzt bezahlen", "Kaufen")


def shell(block: str, directory: Path) -> str:
    """Run commands of the manual as a site's owner, and return what they say."""
    environ = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(directory)}
    done = subprocess.run(["bash", "-eu", "-c", block], cwd=directory, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
