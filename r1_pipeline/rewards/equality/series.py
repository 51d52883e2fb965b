"""This module expands sums and products at small integers, so that they can be compared.

A symbol whose index is summed over (`a_k`, `C_{n-1-k}`) and an unknown function (`f(k)`) get one value for each
argument, the same on both sides. An infinite sum or product is computed twice, once with its first terms separate; if
the two results differ, it has no value. Of a series of unknown symbols, the first terms are compared.
"""

import operator
import re
import zlib
from functools import reduce
from typing import Any

import mpmath
import sympy
from sympy.core.function import AppliedUndef

from r1_pipeline.rewards.equality.latex_parser import Gcd, Lcm, value_of

SUMS = (sympy.Sum, sympy.Product)
"""The types of sums and products."""
OPAQUE = (*SUMS, AppliedUndef, Gcd, Lcm)
"""The types that have no value at a point before `written_out` expands them."""
_INTEGERS = set("ijklmnN")
_INDEXED = re.compile(r"([^_]+)_\{?([^{}]+)\}?")
_TERMS = 2000
"""The maximum number of terms of a sum that is expanded."""
_FIRST = 12
_AGREE = 1e-12


def whole(*sides: Any) -> set[Any]:
    """Returns the symbols that can only be integers: in limits of sums and products, in gcd and lcm, `n` in a floor."""
    found: set[Any] = set()
    for part in (part for side in sides for part in sympy.preorder_traversal(side)):
        if isinstance(part, SUMS):
            found.update(*(limit.free_symbols for _, *ends in part.limits for limit in ends))
        elif isinstance(part, Gcd | Lcm):
            found |= part.free_symbols
        elif isinstance(part, sympy.floor | sympy.ceiling):
            found |= part.free_symbols if {str(each) for each in part.free_symbols} <= _INTEGERS else set()
    return found & _letters(sides)


def indexed(*sides: Any) -> list[Any]:
    """Returns the sides with every symbol whose index is summed over as a function of its index."""
    sums = [part for side in sides for part in side.atoms(*SUMS)]
    running = {str(index) for part in sums for index, *_ in part.limits}
    symbols = _letters(sides).union(*(part.atoms(sympy.Symbol) for part in sums))
    split = {each: match for each in symbols if (match := _INDEXED.fullmatch(str(each)))}
    names = {match[1] for match in split.values() if running & set(re.findall("[a-zA-Z]", match[2]))}
    called = {
        each: sympy.Function(match[1])(*_indices(match[2], bool(each.is_real)))
        for each, match in split.items()
        if match[1] in names
    }
    return [side.xreplace(called) for side in sides]


def written_out(value: Any) -> Any:
    """Expands every sum and product of an expression at a point, and replaces every `f(3)` by a number.

    A sum stays if it is too long or its limits are not integers.
    """
    if isinstance(value, AppliedUndef) and not value.free_symbols:
        return sympy.Rational(zlib.crc32(str(value).encode()) + 1, 1 << 29)
    if not isinstance(value, SUMS):
        return value.func(*map(written_out, value.args)) if value.args else value
    *inner, (index, low, high) = value.limits
    body, low, high = value.func(value.function, *inner) if inner else value.function, low.doit(), high.doit()
    if high is sympy.oo and low.is_Integer:
        if not body.has(*OPAQUE):
            return _series(value.func, body, index, int(low))
        high = low + _FIRST
    if not (low.is_Integer and high.is_Integer and high - low < _TERMS):
        return value
    put = body.subs if inner or body.has(*SUMS) else lambda index, number: body.xreplace({index: number})
    terms = [written_out(put(index, sympy.Integer(number))) for number in range(int(low), int(high) + 1)]
    return (sympy.Add if isinstance(value, sympy.Sum) else sympy.Mul)(*terms)


def renamed(value: Any) -> Any:
    """Returns the expression with canonical names of the summation indices; None if it has nested sums."""
    sums = value.atoms(*SUMS)
    if any(len(part.limits) > 1 or part.function.has(*SUMS) for part in sums):
        return None
    return value.as_dummy()


def _letters(sides: tuple[Any, ...]) -> set[Any]:
    return set().union(*(side.free_symbols for side in sides))


def _indices(text: str, real: bool) -> list[Any]:
    """Parses the subscript of a symbol: `i,j` and `ij` are two indices."""
    pieces = list(text) if text.isalpha() else text.split(",")
    values = [value_of(piece, real) for piece in pieces]
    return [sympy.Symbol(piece) if value is None else value for piece, value in zip(pieces, values, strict=True)]


def _series(kind: Any, body: Any, index: Any, low: int) -> Any:
    """Computes an infinite sum or product; nan if the result is not certain or a term has no value."""
    term = sympy.lambdify(index, body, modules="mpmath")
    join, endless = (operator.add, mpmath.nsum) if kind is sympy.Sum else (operator.mul, mpmath.nprod)
    with mpmath.workdps(25):
        try:
            at_once = endless(term, [low, mpmath.inf])
            later = reduce(join, map(term, range(low, low + 7)), endless(term, [low + 7, mpmath.inf]))
        except (ArithmeticError, ValueError, mpmath.NoConvergence):
            return sympy.nan
        certain = isinstance(at_once, mpmath.mpf) and abs(at_once - later) <= _AGREE * abs(at_once)
        return sympy.Float(at_once, 25) if certain else sympy.nan
