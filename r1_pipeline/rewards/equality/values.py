"""Equality of two sympy objects, part by part, and of two expressions by their values.

Numbers and expressions are compared by their values to 50 digits: quick, and free of the absolute rounding that makes
1/2004! equal 1/2006!. What has no values at points (relations, sets) is math-verify's.
"""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import sympy
from math_verify.grader import verify

from r1_pipeline.rewards.equality.points import Point, integers, rare, small, towering, usual
from r1_pipeline.rewards.equality.real import bounds, in_reals, inside
from r1_pipeline.rewards.equality.series import OPAQUE, SUMS, indexed, renamed, whole, written_out

_DIGITS = 50
_EXACT, _DECIMAL = 1e-40, 1e-12
"""Relative difference allowed between exact values, and where a decimal fraction or an infinite sum is involved."""
_NO_NUMBER = (sympy.Tuple, sympy.Interval, sympy.Union)
_WRITTEN_OUT = 10**400
_ENOUGH = 2
"""Points that have to agree; more are looked at."""


def same(left: Any, right: Any, real: bool) -> bool:
    """Equality of two sympy objects, part by part; letters are real or complex."""
    if isinstance(left, sympy.MatrixBase) != isinstance(right, sympy.MatrixBase):
        left, right = _as_tuple(left), _as_tuple(right)
    pair = (left, right)
    if all(isinstance(each, sympy.MatrixBase) for each in pair):
        return left.shape == right.shape and all(map(same, left, right, repeat(real)))
    if all(isinstance(each, sympy.Tuple) for each in pair):
        return len(left) == len(right) and all(map(same, left, right, repeat(real)))
    if all(isinstance(each, sympy.Interval) for each in pair):
        ends = (left.left_open, left.right_open) == (right.left_open, right.right_open)
        return ends and same(left.start, right.start, real) and same(left.end, right.end, real)
    if all(isinstance(each, sympy.FiniteSet) for each in pair):
        return len(left.args) == len(right.args) and _matched(list(left.args), list(right.args), real)
    if isinstance(left, sympy.Expr) != isinstance(right, sympy.Expr) and any(
        isinstance(each, _NO_NUMBER) for each in pair
    ):
        return False
    if all(isinstance(each, sympy.Equality) for each in pair) and (left.has(*SUMS) or right.has(*SUMS)):
        return _matched(list(left.args), list(right.args), real)
    if all(isinstance(each, sympy.Expr) for each in pair) and (verdict := agree(left, right, real)) is not None:
        return verdict
    equal = verify(
        left, right, float_rounding=15, timeout_seconds=None, allow_set_relation_comp=True, raise_on_error=False
    )
    return bool(equal)


def agree(left: Any, right: Any, real: bool) -> bool | None:
    """Equality of two expressions by their values; None where values do not settle it."""
    tolerance = _DECIMAL if left.has(sympy.Float) or right.has(sympy.Float) else _EXACT
    left, right = _exact(left), _exact(right)
    if sums := left.has(*SUMS) or right.has(*SUMS):
        left, right = indexed(left, right)
        if (plain := renamed(left)) is not None and plain == renamed(right):
            return True
    if real:
        left, right = in_reals(left), in_reals(right)
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    if not symbols:
        return _near(left, right, {}, tolerance, real=False)
    counted = sorted(whole(left, right), key=str)
    if counted:
        others = [symbol for symbol in symbols if symbol not in counted]
        return _settled(left, right, integers(counted, others, far=not sums), tolerance)
    if sums:
        return _settled(left, right, small(symbols), tolerance)
    return _agree_at_points(left, right, symbols, tolerance, real)


def _agree_at_points(left: Any, right: Any, symbols: list[Any], tolerance: float, real: bool) -> bool | None:
    if left.has(sympy.Integral, sympy.Limit) or right.has(sympy.Integral, sympy.Limit):
        return None
    if not real:
        return _settled_in_complex(left, right, usual(symbols, tower=True), tolerance)
    tower = towering(left) or towering(right)
    for points in (usual(symbols, tower), rare(symbols), integers(symbols, [], far=not tower)):
        if (verdict := _settled(left, right, points, tolerance, real=True)) is not None:
            return verdict
    return None


def _settled(left: Any, right: Any, points: Iterable[Point], tolerance: float, *, real: bool = False) -> bool | None:
    """What points say: one that differs is enough, and where a part of a side is not real a point says nothing."""
    needed, agreeing = bounds(left, right) if real else [], 0
    for point in points:
        if inside(needed, point) and (verdict := _near(left, right, point, tolerance, real)) is not None:
            if not verdict:
                return False
            agreeing += 1
    return True if agreeing >= _ENOUGH else None


def _settled_in_complex(left: Any, right: Any, points: Iterable[Point], tolerance: float) -> bool | None:
    """What points say of principal values: all have to agree, and only the first two, all positive, can deny."""
    verdicts = []
    for row, point in enumerate(points):
        verdicts.append(_near(left, right, point, tolerance, real=False))
        if verdicts[-1] is False:
            return False if row < 2 else None
    return True if all(verdicts) else None


def _near(left: Any, right: Any, point: Point, tolerance: float, real: bool) -> bool | None:
    """Whether two expressions agree at a point; None if they have no finite value there, or no real one."""
    if left.has(*OPAQUE) or right.has(*OPAQUE):
        left, right = written_out(left.subs(point)), written_out(right.subs(point))
        if point and (left.has(*SUMS) or right.has(*SUMS)):
            return None
        point = {}
        tolerance = _DECIMAL if left.has(sympy.Float) or right.has(sympy.Float) else tolerance
    values = [each.evalf(_DIGITS, subs=point) for each in (left, right, left - right)]
    if not all(each.is_number and each.is_finite for each in values) or (real and not values[2].is_real):
        return None
    if abs(values[2]) > tolerance * max(abs(values[0]), abs(values[1])):
        parts = [part for part in values[2].as_real_imag() if part != 0]
        return all(getattr(part, "_prec", _DIGITS) == 1 for part in parts)  # is any digit of it significant?
    if tolerance == _EXACT and not point and abs(values[0]) < _WRITTEN_OUT:
        exactly = left.doit(), right.doit()  # integers may differ beyond 50 digits
        return bool(exactly[0] == exactly[1]) if all(each.is_Rational for each in exactly) else True
    return True


def _exact(value: Any) -> Any:
    return value.xreplace({each: sympy.Rational(str(each)) for each in value.atoms(sympy.Float)})


def _as_tuple(value: Any) -> Any:
    """Row and column vectors and open intervals as tuples, which is how they are written too."""
    if isinstance(value, sympy.MatrixBase) and 1 in value.shape:
        return sympy.Tuple(*value)
    if isinstance(value, sympy.Interval) and value.is_open:
        return sympy.Tuple(value.start, value.end)
    return value


def _matched(left: list[Any], right: list[Any], real: bool) -> bool:
    """Whether each element has a partner of its own."""
    for each in left:
        partner = next((at for at, other in enumerate(right) if same(each, other, real)), None)
        if partner is None:
            return False
        del right[partner]
    return True
