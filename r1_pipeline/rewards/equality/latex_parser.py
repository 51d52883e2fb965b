"""This module parses LaTeX in normal form into sympy objects, the whole text or nothing, with latex2sympy's parser."""

import re
from functools import lru_cache, reduce
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig, normalize_latex
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy

_SPELLING = NormalizationConfig(boxed="none")
_GAMMA = re.compile(r"\\gamma(?![a-zA-Z])|\\Gamma(?![a-zA-Z]|\s*\()")
_LETTERS = {"\\gamma": "\\varsigma ", "\\Gamma": "\\varrho "}
_CALLED = re.compile(r"(?<![a-zA-Z\\])([fghFGH])\(([^()]*)\)")


class Gcd(sympy.Function):  # type: ignore[misc]
    """The greatest common divisor of integers; sympy's own returns 1 for two symbols."""

    @classmethod
    def eval(cls, *args: Any) -> Any:
        """Returns the value if all arguments are integers, else None."""
        return reduce(sympy.igcd, args) if all(each.is_Integer for each in args) else None


class Lcm(sympy.Function):  # type: ignore[misc]
    """The least common multiple of integers; sympy's own returns `ab` for two symbols."""

    @classmethod
    def eval(cls, *args: Any) -> Any:
        """Returns the value if all arguments are integers, else None."""
        return reduce(sympy.ilcm, args) if all(each.is_Integer for each in args) else None


class _Reader(_Latex2Sympy):  # type: ignore[misc]
    def handle_gcd_lcm(self, f: str, args: list[Any]) -> Any:
        return {"gcd": Gcd, "lcm": Lcm}[f](*map(sympy.nsimplify, args))


@lru_cache(maxsize=256)
def value_of(latex: str, real: bool) -> Any:
    """Returns the sympy object, or None if the parser cannot read the whole text; `real` makes all symbols real."""
    if "\\sum" in latex or "\\prod" in latex:
        latex = _CALLED.sub(r"\1_{\2}", latex)  # the parser reads f(k+1) as a product
    latex = _GAMMA.sub(lambda match: _LETTERS[match[0]], latex)  # and gamma^2-1 as the square of the function at -1
    try:
        value = _Reader(is_real=real, convert_degrees=False).parse(normalize_latex(latex, _SPELLING))
    except (MemoryError, ImportError, OSError):  # the machine's fault, not the text's
        raise
    except Exception:  # noqa: BLE001  # a parser may raise anything for what a model wrote
        return None
    if isinstance(value, sympy.Basic) and not real:
        value = value.subs({symbol: sympy.I for symbol in value.free_symbols if str(symbol) == "i"})
    return value


def undefined(value: Any) -> bool:
    """Returns True if the object or a constant part of it has no value: `1/0`, infinity - infinity."""
    if isinstance(value, sympy.MatrixBase):
        return any(map(undefined, value))
    if value.has(sympy.zoo, sympy.nan):
        return True
    parts = [part for part in sympy.preorder_traversal(value) if isinstance(part, sympy.Pow | sympy.log)]
    if isinstance(value, sympy.Expr) and not value.has(sympy.Limit, sympy.Integral, sympy.Sum, sympy.Product):
        parts.append(value)
    return any(not part.free_symbols and part.doit().has(sympy.zoo, sympy.nan) for part in parts)
