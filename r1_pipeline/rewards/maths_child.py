"""The child of `maths.py`: are two answers equal in value? A script behind a pipe, never imported by the library.

Request `{"reference": LaTeX, "answer": LaTeX or null, "limit_s": seconds}`, both in normal form; reply `{"status":
"equal" | "differs" | "unreadable" | "undefined" | "readable"}`: the middle two speak of the reference, the last answers
a request without an answer. Parsing is latex2sympy's, of the whole text or not at all. Numbers and expressions are
compared by their values, to 50 digits, at fixed points (Schwartz 1980, Zippel 1979): quick, and free of the absolute
rounding that makes 1/2004! equal 1/2006!. What has no values at points (relations, sets, sums with symbolic limits) is
math-verify's. The kernel's alarm, left at its default action, ends the child even when the parent is gone and C code
is busy.
"""

import json
import os
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig, normalize_latex
from latex2sympy2_extended.latex2sympy2 import latex2sympy
from math_verify.grader import should_treat_as_complex, verify

_MEMORY = 480 << 20
_DIGITS = 50
_EXACT, _DECIMAL = 1e-40, 1e-12
"""Relative difference allowed between exact values, and where a decimal fraction is involved."""
_WRITTEN_OUT = 10**400
_POINTS = ((1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1), (-1, 1, -1, -1, 1, -1), (1, -1, -1, 1, -1, 1))
"""Signs of the symbols, in alphabetical order, at each point; the first two are enough to tell answers apart."""
_SPELLING = NormalizationConfig(boxed="none")


def _answer_requests() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not reach the protocol

    def reply(value: dict[str, object]) -> None:
        os.write(out, json.dumps(value).encode() + b"\n")

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    reply({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + 1.0)
        status = judge(request["reference"], request["answer"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply({"status": status})


@lru_cache(maxsize=256)
def value_of(latex: str, real: bool) -> Any:
    """The sympy object, or None if the text is not mathematics from end to end."""
    try:
        value = latex2sympy(
            normalize_latex(latex, _SPELLING), is_real=real, convert_degrees=False, normalization_config=None
        )
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # a parser may raise anything for what a model wrote
        return None
    if isinstance(value, sympy.Basic) and not real:
        value = value.subs({symbol: sympy.I for symbol in value.free_symbols if str(symbol) == "i"})
    return value


def exact(value: Any) -> Any:
    return value.xreplace({each: sympy.Rational(str(each)) for each in value.atoms(sympy.Float)})


def near(left: Any, right: Any, point: dict[Any, Any], tolerance: float) -> bool | None:
    """Whether two expressions agree at a point; None if they have no finite value there."""
    values = [each.evalf(_DIGITS, subs=point) for each in (left, right, left - right)]
    if not all(each.is_number and each.is_finite for each in values):
        return None
    if abs(values[2]) > tolerance * max(abs(values[0]), abs(values[1])):
        parts = [part for part in values[2].as_real_imag() if part != 0]
        return all(getattr(part, "_prec", _DIGITS) == 1 for part in parts)  # is any digit of it significant?
    if tolerance == _EXACT and not point and abs(values[0]) < _WRITTEN_OUT:
        whole = left.doit(), right.doit()  # integers may differ beyond 50 digits
        return bool(whole[0] == whole[1]) if all(each.is_Rational for each in whole) else True
    return True


def agree(left: Any, right: Any) -> bool | None:
    """Equality of two expressions by their values; None where values do not settle it."""
    tolerance = _DECIMAL if left.has(sympy.Float) or right.has(sympy.Float) else _EXACT
    left, right = exact(left), exact(right)
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    if symbols and any(each.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit) for each in (left, right)):
        return None
    verdicts = []
    for row, signs in enumerate(_POINTS if symbols else _POINTS[:1]):
        point = {
            symbol: sympy.Rational(signs[at % 6] * (17 + 12 * at + 5 * row), 11 + 2 * at)
            for at, symbol in enumerate(symbols)
        }
        verdicts.append(near(left, right, point, tolerance))
        if verdicts[-1] is False:
            return False if row < 2 else None
    return True if all(verdicts) else None


def as_tuple(value: Any) -> Any:
    """Row and column vectors and open intervals as tuples, which is how they are written too."""
    if isinstance(value, sympy.MatrixBase) and 1 in value.shape:
        return sympy.Tuple(*value)
    if isinstance(value, sympy.Interval) and value.is_open:
        return sympy.Tuple(value.start, value.end)
    return value


def same(left: Any, right: Any) -> bool:
    """Equality of two sympy objects, part by part."""
    if isinstance(left, sympy.MatrixBase) != isinstance(right, sympy.MatrixBase):
        left, right = as_tuple(left), as_tuple(right)
    pair = (left, right)
    if all(isinstance(each, sympy.MatrixBase) for each in pair):
        return left.shape == right.shape and all(map(same, left, right))
    if all(isinstance(each, sympy.Tuple) for each in pair):
        return len(left) == len(right) and all(map(same, left, right))
    if all(isinstance(each, sympy.Interval) for each in pair):
        ends = (left.left_open, left.right_open) == (right.left_open, right.right_open)
        return ends and same(left.start, right.start) and same(left.end, right.end)
    if all(isinstance(each, sympy.FiniteSet) for each in pair):
        return len(left.args) == len(right.args) and matched(list(left.args), list(right.args))
    if all(isinstance(each, sympy.Expr) for each in pair) and (settled := agree(left, right)) is not None:
        return settled
    equal = verify(
        left, right, float_rounding=15, timeout_seconds=None, allow_set_relation_comp=True, raise_on_error=False
    )
    return bool(equal)


def matched(left: list[Any], right: list[Any]) -> bool:
    """Whether each element has a partner of its own."""
    for each in left:
        partner = next((at for at, other in enumerate(right) if same(each, other)), None)
        if partner is None:
            return False
        del right[partner]
    return True


def judge(reference_latex: str, answer_latex: str | None) -> str:
    real = not should_treat_as_complex(reference_latex + " " + (answer_latex or ""))
    reference = value_of(reference_latex, real)
    if reference is None:
        return "unreadable"
    if reference in (sympy.nan, sympy.zoo):
        return "undefined"
    if answer_latex is None:
        return "readable"
    answer = value_of(answer_latex, real)
    return "equal" if answer is not None and same(reference, answer) else "differs"


_answer_requests()
