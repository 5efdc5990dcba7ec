"""Amounts of money, in integers only (merchant API, Amount)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from taler_paywall.errors import CodecError

#: Units of the fraction in one unit of the currency.
FRACTION_BASE: Final = 10**8
#: The largest value before the decimal point.
MAX_VALUE: Final = 2**52

_MAX_UNITS: Final = MAX_VALUE * FRACTION_BASE + FRACTION_BASE - 1
_CURRENCY: Final = re.compile(r"[A-Za-z]{1,11}")
_DIGITS: Final = re.compile(r"[0-9]+")
_FRACTION: Final = re.compile(r"[0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Amount:
    """An unsigned amount of one currency (merchant API, Amount).

    Args:
        currency: 1 to 11 upper-case ASCII letters.
        value: whole units, 0 to 2**52.
        fraction: units of 1e-8, 0 to 99999999.

    Raises:
        CodecError: a part is not in its range.
    """

    currency: str
    value: int
    fraction: int

    def __post_init__(self) -> None:
        """Refuse parts outside their ranges."""
        if not _CURRENCY.fullmatch(self.currency) or not self.currency.isupper():
            raise CodecError("the currency of an amount must be 1 to 11 upper-case ASCII letters")
        if type(self.value) is not int or type(self.fraction) is not int:
            raise CodecError("value and fraction of an amount must be integers")
        if not 0 <= self.value <= MAX_VALUE:
            raise CodecError(f"the value of an amount must be 0 to {MAX_VALUE}")
        if not 0 <= self.fraction < FRACTION_BASE:
            raise CodecError(f"the fraction of an amount must be 0 to {FRACTION_BASE - 1}")

    @classmethod
    def parse(cls, text: object) -> Amount:
        """Read ``CURRENCY:VALUE[.FRACTION]``; the currency becomes upper case (merchant API, Amount).

        Args:
            text: a JSON value; ASCII only, 1 to 8 digits of fraction.

        Raises:
            CodecError: anything but such a text.
        """
        if not isinstance(text, str):
            raise CodecError(f"an amount must be a text, not {type(text).__name__}")
        currency, colon, number = text.partition(":")
        if not colon:
            raise CodecError("an amount must be CURRENCY:VALUE, the colon is missing")
        value, point, fraction = number.partition(".")
        if not _DIGITS.fullmatch(value):
            raise CodecError("the value of an amount must be ASCII digits")
        if point and not _FRACTION.fullmatch(fraction):
            raise CodecError("the fraction of an amount must be 1 to 8 ASCII digits")
        significant = value.lstrip("0") or "0"
        # Before int(), which has a limit of its own and another error.
        if len(significant) > len(str(MAX_VALUE)):
            raise CodecError(f"the value of an amount must be 0 to {MAX_VALUE}")
        return cls(_upper(currency), int(significant), int(fraction.ljust(8, "0")))

    @classmethod
    def from_parts(cls, currency: str, value: int, fraction: int) -> Amount:
        """Build an amount from parts, carrying a fraction of 1e8 or more into the value (merchant API, Amount).

        Args:
            currency: 1 to 11 ASCII letters, either case.
            value: whole units.
            fraction: units of 1e-8, any number from 0.

        Raises:
            CodecError: a part is malformed, or the amount is too large.
        """
        if fraction < 0:
            raise CodecError("the fraction of an amount must not be negative")
        return cls(_upper(currency), value + fraction // FRACTION_BASE, fraction % FRACTION_BASE)

    @classmethod
    def zero(cls, currency: str) -> Amount:
        """Nothing, in a currency of 1 to 11 ASCII letters; CodecError for others (merchant API, Amount)."""
        return cls(_upper(currency), 0, 0)

    def __str__(self) -> str:
        """Write the canonical text: no trailing zeros, no point without a fraction."""
        number = f"{self.value}.{self.fraction:08}".rstrip("0") if self.fraction else f"{self.value}"
        return f"{self.currency}:{number}"

    @property
    def is_zero(self) -> bool:
        """Whether nothing has to be paid."""
        return not self._units

    def compare(self, other: Amount) -> int:
        """Order two amounts of the same currency: -1, 0 or 1 (merchant API, Amount).

        Args:
            other: the amount on the right.

        Raises:
            CodecError: the currencies differ.
        """
        mine, theirs = self._units, self._same_currency(other)
        return (mine > theirs) - (mine < theirs)

    def __lt__(self, other: Amount) -> bool:
        """Compare; CodecError if the currencies differ."""
        return self.compare(other) < 0

    def __le__(self, other: Amount) -> bool:
        """Compare; CodecError if the currencies differ."""
        return self.compare(other) <= 0

    def __gt__(self, other: Amount) -> bool:
        """Compare; CodecError if the currencies differ."""
        return self.compare(other) > 0

    def __ge__(self, other: Amount) -> bool:
        """Compare; CodecError if the currencies differ."""
        return self.compare(other) >= 0

    def add(self, other: Amount) -> tuple[Amount, bool]:
        """Return the sum, and whether it was cut to the largest amount (merchant API, Amount).

        Args:
            other: an amount of the same currency.

        Raises:
            CodecError: the currencies differ.
        """
        return self._with_units(self._units + self._same_currency(other))

    def subtract(self, other: Amount) -> tuple[Amount, bool]:
        """Return the difference, and whether it was raised to zero (merchant API, Amount).

        Args:
            other: an amount of the same currency.

        Raises:
            CodecError: the currencies differ.
        """
        return self._with_units(self._units - self._same_currency(other))

    @property
    def _units(self) -> int:
        return self.value * FRACTION_BASE + self.fraction

    def _same_currency(self, other: Amount) -> int:
        if self.currency != other.currency:
            raise CodecError(f"amounts of different currencies: {self.currency} and {other.currency}")
        return other._units

    def _with_units(self, units: int) -> tuple[Amount, bool]:
        kept = min(max(units, 0), _MAX_UNITS)
        return Amount(self.currency, *divmod(kept, FRACTION_BASE)), kept != units


def _upper(currency: str) -> str:
    # Checked first: upper() turns some other letters into ASCII ones.
    if not _CURRENCY.fullmatch(currency):
        raise CodecError("the currency of an amount must be 1 to 11 ASCII letters")
    return currency.upper()
