"""The points at which two expressions are compared (Schwartz 1980, Zippel 1979). They are fixed.

A point has at most one negative letter: letters whose quotient or product stands under a root are taken as positive.
Large and small numbers find the other branches of absolute values and the domains of roots.
"""

from collections.abc import Iterator
from typing import Any

import sympy

Point = dict[Any, Any]
_FAR = (12, 23, 60, 105, 1009)
_RARE = ("1/5", "1/3", "6", "1/12", "40", "2/3", "1/40", "100")


def spot(symbols: list[Any], row: int, scale: Any = 1, negative: Any = None) -> Point:
    """One point; the numbers grow along the alphabet in even rows, against it in odd ones."""
    turned = symbols[::-1] if row % 2 else symbols
    return {
        symbol: scale * sympy.Rational((-1 if symbol == negative else 1) * (17 + 12 * at + 5 * row), 11 + 2 * at)
        for at, symbol in enumerate(turned)
    }


def usual(symbols: list[Any], tower: bool) -> Iterator[Point]:
    """The points that are always looked at, the two that tell most answers apart first; no large ones in a tower."""
    yield from (spot(symbols, 0), spot(symbols, 1))
    for at, symbol in enumerate(symbols[:6]):
        yield spot(symbols, 4 + at, negative=symbol)
    yield spot(symbols, 2, sympy.Rational(1, 9))
    if not tower:
        yield spot(symbols, 3, 25)
        yield from (spot(symbols, 5 + at, 25, symbol) for at, symbol in enumerate(symbols[:2]))


def rare(symbols: list[Any]) -> Iterator[Point]:
    """Points for expressions that are real in few places."""
    return (spot(symbols, row, sympy.Rational(scale)) for row, scale in enumerate(_RARE))


def small(symbols: list[Any]) -> Iterator[Point]:
    """Points at which a power series converges, if it does anywhere."""
    return (spot(symbols, row, sympy.Rational(1, 5 + row)) for row in range(3))


def integers(symbols: list[Any], others: list[Any], *, far: bool) -> Iterator[Point]:
    """Small integers, in either order, with and without common divisors, and some far ones; numbers for the others."""
    for row, first in enumerate((*range(2, 8), *(_FAR if far else _FAR[:1]))):
        step = (1, first, 2)[row % 3]
        turned = symbols[::-1] if row % 2 else symbols
        yield {symbol: sympy.Integer(first + at * step) for at, symbol in enumerate(turned)} | spot(others, row)


def towering(value: Any, depth: int = 0) -> bool:
    """Whether letters stand in the exponent of an exponent, in a factorial of a factorial, and so on."""
    grown = None
    if isinstance(value, sympy.Pow):
        grown = value.exp
    elif isinstance(value, sympy.exp | sympy.factorial | sympy.gamma):
        grown = value.args[0]
    depth += bool(grown is not None and grown.free_symbols)
    return depth > 1 or any(towering(each, depth) for each in value.args)
