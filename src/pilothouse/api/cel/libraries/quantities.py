"""Resource quantities (Kubernetes' pkg/cel/library/quantity.go)."""

from typing import Any

from pilothouse.api.cel import estimates
from pilothouse.api.cel._cel import INT_MAX, INT_MIN, EvaluationError, Opaque
from pilothouse.api.cel.functions import Functions, Overload, member, succeeds, walk
from pilothouse.api.cel.host import quantity
from pilothouse.api.cel.types import BOOL, DOUBLE, INT, STRING, CelType, struct

QUANTITY = struct("kubernetes.Quantity", {})


class Amount(Opaque):
    """A quantity that was read or computed."""

    type_name = "kubernetes.Quantity"
    __slots__ = ("quantity",)

    def __init__(self, value: quantity.Quantity) -> None:
        self.quantity = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Amount) and other.quantity == self.quantity

    def __hash__(self) -> int:
        return hash(self.quantity)

    def __str__(self) -> str:
        return str(self.quantity)


def _read(text: str) -> Amount:
    try:
        return Amount(quantity.parse(text))
    except quantity.QuantityError as err:
        raise EvaluationError(str(err)) from None


def _whole(amount: Amount) -> int | None:
    """The amount as an integer of 64 bits, None if it is none (AsInt64)."""
    value = amount.quantity
    if value.scale > 30:
        return None if value.unscaled else 0
    scaled = value.unscaled * 10**value.scale if value.scale >= 0 else None
    if scaled is None:
        quotient, rest = divmod(abs(value.unscaled), 10 ** min(-value.scale, 4000))
        if rest:
            return None
        scaled = quotient if value.unscaled > 0 else -quotient
    return int(scaled) if INT_MIN <= scaled <= INT_MAX else None


def _as_integer(amount: Amount) -> int:
    found = _whole(amount)
    if found is None:
        raise EvaluationError("cannot convert value to integer")
    return found


def _int(value: int) -> quantity.Quantity:
    return quantity.Quantity(value, 0, quantity.DECIMAL_EXPONENT)


def _reads(id: str, result: CelType, function: Any) -> tuple[Overload, ...]:
    return (Overload(id, (STRING,), result, function, cost=walk, estimate=estimates.walked),)


def _tells(id: str, result: CelType, function: Any) -> tuple[Overload, ...]:
    return (member(id, (QUANTITY,), result, function),)


def _compares(id: str, result: CelType, function: Any) -> tuple[Overload, ...]:
    return (member(id, (QUANTITY, QUANTITY), result, function),)


def _combines(name: str, function: Any) -> tuple[Overload, ...]:
    def with_int(amount: Amount, other: int) -> Amount:
        return Amount(function(amount.quantity, _int(other)))

    def with_amount(amount: Amount, other: Amount) -> Amount:
        return Amount(function(amount.quantity, other.quantity))

    return (
        *_compares(f"quantity_{name}", QUANTITY, with_amount),
        member(f"quantity_{name}_int", (QUANTITY, INT), QUANTITY, with_int),
    )


FUNCTIONS: Functions = {
    "quantity": _reads("string_to_quantity", QUANTITY, _read),
    "isQuantity": _reads("is_quantity_string", BOOL, succeeds(_read)),
    "sign": (Overload("quantity_sign", (QUANTITY,), INT, lambda one: one.quantity.sign()),),
    "isGreaterThan": _compares(
        "quantity_is_greater_than", BOOL, lambda one, other: one.quantity > other.quantity
    ),
    "isLessThan": _compares("quantity_is_less_than", BOOL, lambda one, other: one.quantity < other.quantity),
    "compareTo": _compares("quantity_compare_to", INT, lambda one, other: one.quantity.cmp(other.quantity)),
    "asApproximateFloat": _tells("quantity_get_float", DOUBLE, lambda one: float(one.quantity.as_decimal())),
    "asInteger": _tells("quantity_get_int", INT, _as_integer),
    "isInteger": _tells("quantity_is_integer", BOOL, lambda one: _whole(one) is not None),
    "add": _combines("add", lambda one, other: one + other),
    "sub": _combines("sub", lambda one, other: one - other),
}
