"""Resource quantities: `500m`, `1536Mi`, `1e3` (apimachinery pkg/api/resource).

An amount is an exact integer times a power of ten. A quantity keeps its original text where upstream would
reuse it, so that "+5" stays "+5" while "1000m" becomes "1".
"""

from decimal import Decimal

from pilothouse.caches import memo

DECIMAL_SI = "DecimalSI"
BINARY_SI = "BinarySI"
DECIMAL_EXPONENT = "DecimalExponent"

NANO, MICRO, MILLI = -9, -6, -3
MAX_INT64 = (1 << 63) - 1

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
NUMERIC_WRONG = "unable to parse numeric part of quantity"
SUFFIX_WRONG = "unable to parse quantity's suffix"

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_SUFFIXES = {exponent: suffix for suffix, exponent in _BINARY.items()}
_SUFFIX_CHARS = frozenset("eEinumkKMGTP")
_DIGITS = frozenset("0123456789")

_MAX_INT64_FACTORS = 18
_MAX_DIGITS = 3000
"""Longest amount that is parsed, in digits. Upstream has no such limit; Python writes at most 4300 digits."""
_MAX_SUM = 2980
"""About the longest sum, in digits: the last ones of a longer one are rounded away.
What is written must be parsed again."""
_MAX_SPREAD = 1000
"""The most powers of ten by which two amounts may differ:
beyond, the smaller one is ignored, which keeps extreme sums cheap."""


class QuantityError(ValueError):
    """The text is not a quantity."""


class Quantity:
    """An immutable amount: `unscaled` times ten to the power of `scale`, written in one of three formats."""

    __slots__ = ("format", "scale", "text", "unscaled")

    def __init__(self, unscaled: int, scale: int = 0, format: str = DECIMAL_SI, text: str = "") -> None:
        self.unscaled = unscaled
        self.scale = scale
        self.format = format
        self.text = text

    def __str__(self) -> str:
        if not self.text:
            self.text = self.canonical()
        return self.text

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.cmp(other) == 0

    def __lt__(self, other: "Quantity") -> bool:
        return self.cmp(other) < 0

    def __le__(self, other: "Quantity") -> bool:
        return self.cmp(other) <= 0

    def __gt__(self, other: "Quantity") -> bool:
        return self.cmp(other) > 0

    def __ge__(self, other: "Quantity") -> bool:
        return self.cmp(other) >= 0

    def __hash__(self) -> int:
        return hash(self.as_decimal())

    def __add__(self, other: "Quantity") -> "Quantity":
        if self.scale == other.scale:  # PERF: nearly always
            total, scale = self.unscaled + other.unscaled, self.scale
        elif self.scale > other.scale + _MAX_SPREAD or other.scale > self.scale + _MAX_SPREAD:
            return max(self, other, key=lambda q: q.as_decimal().copy_abs())
        else:
            scale = min(self.scale, other.scale)
            total = self.unscaled * 10 ** (self.scale - scale) + other.unscaled * 10 ** (other.scale - scale)
        format = self.format if self.unscaled else other.format
        if -MAX_INT64 <= total <= MAX_INT64:
            return Quantity(total, scale, format)
        return _rounded(total, scale, format)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return self + -other

    def __neg__(self) -> "Quantity":
        return Quantity(-self.unscaled, self.scale, self.format)

    def __mul__(self, factor: int) -> "Quantity":
        return _rounded(self.unscaled * factor, self.scale, self.format)

    def __bool__(self) -> bool:
        return self.unscaled != 0

    def as_decimal(self) -> Decimal:
        return _decimal(self.unscaled, self.scale)

    def sign(self) -> int:
        return (self.unscaled > 0) - (self.unscaled < 0)

    def cmp(self, other: "Quantity") -> int:
        """Compare: -1, 0 or 1."""
        if self.scale == other.scale:
            return (self.unscaled > other.unscaled) - (self.unscaled < other.unscaled)
        mine, theirs = self.as_decimal(), other.as_decimal()
        return (mine > theirs) - (mine < theirs)

    def value(self) -> int:
        """The amount in whole units, rounded away from zero; 0 if it does not fit an int64, as upstream."""
        return self.scaled_value(0)

    def milli_value(self) -> int:
        """The amount in thousandths, rounded away from zero."""
        return self.scaled_value(MILLI)

    def scaled_value(self, scale: int) -> int:
        if self.scale > scale + _MAX_SPREAD:
            return 0
        value = _at_scale(self.unscaled, self.scale, scale)
        return value if -MAX_INT64 <= value <= MAX_INT64 else 0

    def rounded_up(self, scale: int) -> "Quantity":
        """The amount without digits finer than `scale`, rounded away from zero (RoundUp)."""
        if self.scale >= scale:
            return self
        return Quantity(_at_scale(self.unscaled, self.scale, scale), scale, self.format)

    def canonical(self) -> str:
        """The canonical text in the amount's format, independent of its original text."""
        if not self.unscaled:
            return "0"
        if self.format == BINARY_SI and self.as_decimal().copy_abs() >= 1024:
            whole = _at_scale(self.unscaled, self.scale, 0)
            if self.scale >= 0 or whole * 10**-self.scale == self.unscaled:
                number, times = _without_kibis(whole)
                return f"{number}{_BINARY_SUFFIXES.get(times * 10, '')}"
        number, times = _without_tens(self.unscaled)
        exponent = _int32(self.scale + times)
        while exponent % 3:
            number *= 10
            exponent = _int32(exponent - 1)
        if self.format == DECIMAL_EXPONENT:
            return f"{number}e{exponent}" if exponent else str(number)
        return f"{number}{_DECIMAL_SUFFIXES.get(exponent, '')}"


def _rounded(unscaled: int, scale: int, format: str) -> Quantity:
    """The outcome of a calculation, with no more digits than can be written and parsed."""
    more = unscaled.bit_length() * 3 // 10 - _MAX_SUM  # ten bits are some three digits
    if more > 0:
        unscaled, scale = _at_scale(unscaled, scale, scale + more), scale + more
    return Quantity(unscaled, scale, format)


def _decimal(unscaled: int, scale: int) -> Decimal:
    """Exact for any size: Decimal's own arithmetic would round and overflow."""
    sign, digits, _ = Decimal(unscaled).as_tuple()
    return Decimal((sign, digits, scale))


def _at_scale(unscaled: int, scale: int, wanted: int) -> int:
    """The integer for the amount at another power of ten, rounded away from zero."""
    if scale >= wanted:
        return unscaled * int(10 ** (scale - wanted))
    if (
        wanted - scale > unscaled.bit_length()
    ):  # less than one, because ten to that power is more than two to it
        return (unscaled > 0) - (unscaled < 0)
    quotient, rest = divmod(abs(unscaled), int(10 ** (wanted - scale)))
    quotient += rest > 0
    return quotient if unscaled > 0 else -quotient


def _int32(number: int) -> int:
    """How Go's int32 overflows: the exponent of an absurd amount may turn round."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def _without_tens(number: int) -> tuple[int, int]:
    """The number without trailing decimal zeros, and how many were removed."""
    text = str(number)
    kept = text.rstrip("0")
    return int(kept), len(text) - len(kept)


def _without_kibis(number: int) -> tuple[int, int]:
    """The number without factors of 1024, and how many were removed."""
    times = ((number & -number).bit_length() - 1) // 10
    return number >> 10 * times, times


def _span(text: str, start: int, chars: frozenset[str]) -> int:
    """The first position from `start` whose character is not in `chars`."""
    end = start
    while end < len(text) and text[end] in chars:
        end += 1
    return end


def _split(text: str) -> tuple[bool, str, str, str]:
    """Split into sign, digits before and after the point, and suffix; removes leading zeros."""
    at = 1 if text[0] in "+-" else 0
    at = _span(text, at, frozenset("0"))
    end = _span(text, at, _DIGITS)
    whole, fraction = text[at:end] or "0", ""
    at = end
    if at < len(text) and text[at] == ".":
        end = _span(text, at + 1, _DIGITS)
        fraction = text[at + 1 : end]
        at = end
    end = _span(text, at, _SUFFIX_CHARS)
    if end < len(text) and text[end] in "+-":
        end += 1
    if _span(text, end, _DIGITS) < len(text):
        raise QuantityError(FORMAT_WRONG)
    return text[0] != "-", whole, fraction, text[at:]


def _suffix(suffix: str) -> tuple[int, int, str]:
    """Base, exponent and format of a suffix."""
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], DECIMAL_SI
    if suffix in _BINARY:
        return 2, _BINARY[suffix], BINARY_SI
    if 1 < len(suffix) < _MAX_DIGITS and suffix[0] in "eE":
        try:
            exponent = int(suffix[1:])
        except ValueError:
            raise QuantityError(SUFFIX_WRONG) from None
        if -(1 << 31) <= exponent < 1 << 31:
            return 10, exponent, DECIMAL_EXPONENT
    raise QuantityError(SUFFIX_WRONG)


@memo("quantities", longest=40, most=4096)
def parse(text: str) -> Quantity:
    """Parse a quantity; raises QuantityError with upstream's message."""
    if not text:
        raise QuantityError(FORMAT_WRONG)
    if text == "0":
        return Quantity(0, 0, DECIMAL_SI, "0")
    positive, whole, fraction, suffix = _split(text)
    base, exponent, format = _suffix(suffix)
    digits = whole + fraction
    # A canonical text may have two zeros more than what was written: its exponent is a multiple of three.
    if len(digits) > _MAX_DIGITS and digits[_MAX_DIGITS:] not in ("0", "00"):
        raise QuantityError(NUMERIC_WRONG)
    number = int(digits)
    scale = (exponent if base == 10 else 0) - len(fraction)
    amount = number if base == 10 else number << exponent
    sign = 1 if positive else -1
    if _is_small(base, exponent, whole, fraction) and scale >= NANO and amount <= MAX_INT64:
        if base == 2:
            reuse = exponent % 10 == 0 and number & 7 != 0
        else:
            reuse = scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"
        return Quantity(sign * amount, scale, format, text if reuse else "")
    if scale < NANO:
        amount, scale = _at_scale(amount, scale, NANO), NANO
    if format == BINARY_SI:
        exact = _decimal(amount, scale)
        if exact > MAX_INT64:
            amount, scale = MAX_INT64, 0
        elif 0 < exact < 1:
            format = DECIMAL_SI
    return Quantity(sign * amount, scale, format)


def _is_small(base: int, exponent: int, whole: str, fraction: str) -> bool:
    """Whether upstream keeps the amount in an int64 and may reuse its text."""
    if base == 10:
        return len(whole) + len(fraction) <= _MAX_INT64_FACTORS
    return not fraction and 15 - len(whole) - int(exponent * 3 / 10) - 1 >= 0


def canonical(text: str) -> str:
    """The text in which a quantity is answered; raises QuantityError."""
    return str(parse(text.strip()))


def canonical_milli(text: str) -> str:
    """Like canonical() inside a ResourceList, which rounds up to thousandths (SetDefaults_ResourceList)."""
    return str(parse(text.strip()).rounded_up(MILLI))
