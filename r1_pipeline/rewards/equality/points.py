"""This module generates the fixed points at which two expressions are compared (Schwartz 1980, Zippel 1979).

A point has at most one negative symbol, because symbols whose quotient or product is under a root are read as positive.
Large and small numbers reach the other branches of absolute values and the domains of roots.
"""

from collections.abc import Iterator
from typing import Any

import sympy

Point = dict[Any, Any]
"""A sympy number for each symbol."""
_FAR = (12, 23, 60, 105, 1009)
_RARE = ("1/5", "1/3", "6", "1/12", "40", "2/3", "1/40", "100")


def spot(symbols: list[Any], row: int, scale: Any = 1, negative: Any = None) -> Point:
    """Returns one point; its numbers increase along the alphabet in even rows, and against it in odd ones."""
    ordered = symbols[::-1] if row % 2 else symbols
    return {
        symbol: scale * sympy.Rational((-1 if symbol == negative else 1) * (17 + 12 * place + 5 * row), 11 + 2 * place)
        for place, symbol in enumerate(ordered)
    }


def usual(symbols: list[Any], tower: bool) -> Iterator[Point]:
    """Yields the points that are always tried, the two most distinguishing ones first; no large ones in a tower."""
    yield from (spot(symbols, 0), spot(symbols, 1))
    for place, symbol in enumerate(symbols[:6]):
        yield spot(symbols, 4 + place, negative=symbol)
    yield spot(symbols, 2, sympy.Rational(1, 9))
    if not tower:
        yield spot(symbols, 3, 25)
        yield from (spot(symbols, 5 + place, 25, symbol) for place, symbol in enumerate(symbols[:2]))


def rare(symbols: list[Any]) -> Iterator[Point]:
    """Yields points for expressions that are real at few points only."""
    return (spot(symbols, row, sympy.Rational(scale)) for row, scale in enumerate(_RARE))


def small(symbols: list[Any]) -> Iterator[Point]:
    """Yields points near 0, at which a power series converges if it converges anywhere."""
    return (spot(symbols, row, sympy.Rational(1, 5 + row)) for row in range(3))


def integers(symbols: list[Any], others: list[Any], *, far: bool) -> Iterator[Point]:
    """Yields points with integers for `symbols` and rational numbers for `others`.

    The integers are small, in either order, with and without common divisors; `far` adds some large ones.
    """
    for row, first in enumerate((*range(2, 8), *(_FAR if far else _FAR[:1]))):
        step = (1, first, 2)[row % 3]
        ordered = symbols[::-1] if row % 2 else symbols
        yield {symbol: sympy.Integer(first + n * step) for n, symbol in enumerate(ordered)} | spot(others, row)


def towering(value: Any, depth: int = 0) -> bool:
    """Returns True if symbols occur in nested exponents or factorials, such as `x^{x^x}` or `(n!)!`."""
    grown = None
    if isinstance(value, sympy.Pow):
        grown = value.exp
    elif isinstance(value, sympy.exp | sympy.factorial | sympy.gamma):
        grown = value.args[0]
    depth += bool(grown is not None and grown.free_symbols)
    return depth > 1 or any(towering(each, depth) for each in value.args)
