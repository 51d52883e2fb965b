"""This module decides if two sympy objects are equal, part by part, and two expressions by their values.

Numbers and expressions are compared by their values to 50 digits, which is fast and free of the absolute rounding that
makes 1/2004! equal 1/2006!. Objects without values at points (relations, sets) are left to math-verify.
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
"""The relative tolerances for exact values, and for values with a decimal fraction or an infinite sum."""
_NO_NUMBER = (sympy.Tuple, sympy.Interval, sympy.Union)
_WRITTEN_OUT = 10**400
_ENOUGH = 2
"""The number of points that have to agree; further ones can still differ."""


def same(left: Any, right: Any, real: bool) -> bool:
    """Returns True if two sympy objects are equal, part by part; `real` says that symbols are real, not complex."""
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
    """Returns True if two expressions are equal by their values; None if the values do not decide it."""
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
    """Compares two expressions at points: one difference decides, and a point with a part that is not real is ignored.

    Returns None if fewer than `_ENOUGH` points agree and none differs.
    """
    needed, agreeing = bounds(left, right) if real else [], 0
    for point in points:
        if inside(needed, point) and (verdict := _near(left, right, point, tolerance, real)) is not None:
            if not verdict:
                return False
            agreeing += 1
    return True if agreeing >= _ENOUGH else None


def _settled_in_complex(left: Any, right: Any, points: Iterable[Point], tolerance: float) -> bool | None:
    """Compares principal values at points: all have to agree, and only the first two, all positive, can differ.

    Returns None if values are missing, or only a later point differs.
    """
    verdicts = []
    for row, point in enumerate(points):
        verdicts.append(_near(left, right, point, tolerance, real=False))
        if verdicts[-1] is False:
            return False if row < 2 else None
    return True if all(verdicts) else None


def _near(left: Any, right: Any, point: Point, tolerance: float, real: bool) -> bool | None:
    """Returns True if two expressions agree at a point; None if they have no finite, or no real, value there."""
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
        return all(getattr(part, "_prec", _DIGITS) == 1 for part in parts)  # precision 1: no digit is significant
    if tolerance == _EXACT and not point and abs(values[0]) < _WRITTEN_OUT:
        exactly = left.doit(), right.doit()  # integers may differ beyond 50 digits
        return bool(exactly[0] == exactly[1]) if all(each.is_Rational for each in exactly) else True
    return True


def _exact(value: Any) -> Any:
    return value.xreplace({each: sympy.Rational(str(each)) for each in value.atoms(sympy.Float)})


def _as_tuple(value: Any) -> Any:
    """Returns row and column vectors and open intervals as tuples, because they are also written that way."""
    if isinstance(value, sympy.MatrixBase) and 1 in value.shape:
        return sympy.Tuple(*value)
    if isinstance(value, sympy.Interval) and value.is_open:
        return sympy.Tuple(value.start, value.end)
    return value


def _matched(left: list[Any], right: list[Any], real: bool) -> bool:
    """Returns True if the elements of the two lists can be paired so that each pair is equal."""
    for each in left:
        partner = next((place for place, other in enumerate(right) if same(each, other, real)), None)
        if partner is None:
            return False
        del right[partner]
    return True
