"""Arithmetic as an MCP server: exact integers, decimals to 34 digits, and every result bounded before it is computed.

The rules. JSON integers are exact, up to 4,000 digits. Other JSON numbers are decimals, never binary fractions:
0.1 + 0.2 is 0.3. A decimal result is rounded to 34 digits (IEEE 754 decimal128) and must lie in the range of a double.
`result` is a JSON number; when a reader that holds numbers as doubles would see another value than was calculated,
`decimal` carries the calculated digits as text. Text and booleans are not numbers. NaN and infinity cannot be written
in JSON, and what would give one is refused.
"""

import math
import sys
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Annotated, Any

from msgspec import Meta

from services.mcp_gateway.limits import CALCULATOR_DECIMAL_DIGITS, CALCULATOR_DIGITS_MAX
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.serving import serve
from services.mcp_gateway.servers.tools import Number, ToolHints, ToolOutput, ToolRefused

_BITS_PER_DIGIT = math.log2(10)
_INTEGER_BITS_MAX = int(CALCULATOR_DIGITS_MAX * _BITS_PER_DIGIT)
_INTEGER_MAX = 10**CALCULATOR_DIGITS_MAX - 1
_DOUBLE_MAX = Decimal(sys.float_info.max)
_DOUBLE_MIN = Decimal(sys.float_info.min)
_DOUBLE_EXPONENT_MAX = 309
_SAFE_INTEGER = 2**53 - 1

_RESULT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "result": {"type": "number", "description": "Integers are exact; a decimal is the nearest double."},
        "decimal": {
            "type": "string",
            "description": "The calculated digits, present only when a double cannot hold them.",
        },
    },
    "required": ["result"],
    "additionalProperties": False,
}
_HINTS = ToolHints(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

_CONTEXT = Context(
    prec=CALCULATOR_DECIMAL_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-9_999,
    Emax=9_999,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)

server = ToolServer(
    "calculator",
    version="1.0.0",
    instructions="Exact arithmetic on two numbers. Integers of up to 4,000 digits are exact; decimals have 34 digits.",
)


def _checked(name: str, value: Number) -> Number:
    """Refuse an operand that is out of bounds, before anything is computed with it."""
    if isinstance(value, int):
        if abs(value) > _INTEGER_MAX:
            raise _too_large(f"`{name}` has more than {CALCULATOR_DIGITS_MAX} digits.")
    else:
        _in_double_range(value, f"`{name}`")
    return value


def _too_large(message: str) -> ToolRefused:
    return ToolRefused("number_too_large", message)


def _in_double_range(value: Decimal, what: str) -> None:
    size = value.copy_abs()  # abs() would round
    if size > _DOUBLE_MAX or (size and size < _DOUBLE_MIN):
        raise ToolRefused(
            "number_out_of_range", f"{what} is a decimal outside of ±2.2e-308 … ±1.8e308, the range of a double."
        )


def _answer(value: Number) -> ToolOutput:
    if isinstance(value, int):
        if abs(value) > _INTEGER_MAX:
            raise _too_large(f"The result has more than {CALCULATOR_DIGITS_MAX} digits.")
        text = str(value)
        if abs(value) <= _SAFE_INTEGER:
            return ToolOutput({"result": value}, text)
        return ToolOutput({"result": value, "decimal": text}, text)
    _in_double_range(value, "The result")
    nearest = float(value) or 0.0  # no negative zero
    if Decimal(repr(nearest)) != value:
        return ToolOutput({"result": nearest, "decimal": str(value)}, str(value))
    return ToolOutput({"result": nearest}, repr(nearest))


@server.tool(hints=_HINTS, output_schema=_RESULT_SCHEMA, inline=True)
def add(
    a: Annotated[Number, Meta(description="The first number.")],
    b: Annotated[Number, Meta(description="What is added to it.")],
) -> ToolOutput:
    """Add two numbers: a + b."""
    a, b = _checked("a", a), _checked("b", b)
    if isinstance(a, int) and isinstance(b, int):
        return _answer(a + b)
    return _answer(_CONTEXT.add(Decimal(a), Decimal(b)))


@server.tool(hints=_HINTS, output_schema=_RESULT_SCHEMA, inline=True)
def subtract(
    a: Annotated[Number, Meta(description="The number to subtract from.")],
    b: Annotated[Number, Meta(description="What is subtracted.")],
) -> ToolOutput:
    """Subtract the second number from the first: a - b."""
    a, b = _checked("a", a), _checked("b", b)
    if isinstance(a, int) and isinstance(b, int):
        return _answer(a - b)
    return _answer(_CONTEXT.subtract(Decimal(a), Decimal(b)))


@server.tool(hints=_HINTS, output_schema=_RESULT_SCHEMA, inline=True)
def multiply(
    a: Annotated[Number, Meta(description="The first factor.")],
    b: Annotated[Number, Meta(description="The second factor.")],
) -> ToolOutput:
    """Multiply two numbers: a * b."""
    a, b = _checked("a", a), _checked("b", b)
    if isinstance(a, int) and isinstance(b, int):
        if a.bit_length() + b.bit_length() > _INTEGER_BITS_MAX + 2:
            raise _too_large(f"The result would have more than {CALCULATOR_DIGITS_MAX} digits.")
        return _answer(a * b)
    return _answer(_CONTEXT.multiply(Decimal(a), Decimal(b)))


@server.tool(hints=_HINTS, output_schema=_RESULT_SCHEMA, inline=True)
def divide(
    a: Annotated[Number, Meta(description="The dividend.")],
    b: Annotated[Number, Meta(description="The divisor; not zero.")],
) -> ToolOutput:
    """Divide the first number by the second: a / b. Two integers that divide evenly give an integer."""
    a, b = _checked("a", a), _checked("b", b)
    if not b:
        raise ToolRefused("division_by_zero", "Division by zero has no result.")
    if isinstance(a, int) and isinstance(b, int):
        quotient, remainder = divmod(a, b)
        if not remainder:
            return _answer(quotient)
    return _answer(_CONTEXT.divide(Decimal(a), Decimal(b)))


@server.tool(hints=_HINTS, output_schema=_RESULT_SCHEMA, inline=True)
def power(
    base: Annotated[Number, Meta(description="The base.")],
    exponent: Annotated[Number, Meta(description="The exponent; may be negative or a fraction.")],
) -> ToolOutput:
    """Raise the base to the exponent. 0 to the power 0 is 1; a fractional power of a negative base is refused."""
    base, exponent = _checked("base", base), _checked("exponent", exponent)
    if not base and exponent < 0:
        raise ToolRefused("division_by_zero", "Zero to a negative power is a division by zero.")
    whole = isinstance(exponent, int) or exponent == exponent.to_integral_value()
    if base < 0 and not whole:
        raise ToolRefused("no_real_result", "A fractional power of a negative number is no real number.")
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        return _answer(_integer_power(base, exponent))
    if not exponent:
        return _answer(Decimal(1))
    if base:
        _check_magnitude(base, exponent)
    return _answer(_CONTEXT.power(Decimal(base), Decimal(exponent)))


def _integer_power(base: int, exponent: int) -> int:
    if base in {0, 1} or not exponent:
        return base if exponent else 1
    if base == -1:
        return -1 if exponent % 2 else 1
    # |base| >= 2^(bits - 1), so this many bits are the least that the result can have.
    if (abs(base).bit_length() - 1) * exponent > _INTEGER_BITS_MAX:
        raise _too_large(f"The result would have more than {CALCULATOR_DIGITS_MAX} digits.")
    return int(base**exponent)


def _check_magnitude(base: Number, exponent: Number) -> None:
    """Estimate the decimal exponent of the result and refuse it while that costs nothing."""
    digits = _CONTEXT.multiply(_CONTEXT.log10(Decimal(base).copy_abs()), Decimal(exponent))
    if abs(digits) > _DOUBLE_EXPONENT_MAX:
        raise ToolRefused(
            "number_out_of_range", "The result is a decimal outside of ±2.2e-308 … ±1.8e308, the range of a double."
        )


if __name__ == "__main__":
    serve(server)
