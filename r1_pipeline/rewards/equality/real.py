"""This module restricts expressions to real values: roots of odd order are real, and every part has to be real.

Symbols are real unless the text is complex. Points at which a part of an expression is not real are ignored:
`\\sqrt{1/n}` equals `1/\\sqrt{n}`, since both need a positive `n`, although principal values differ at negative ones.
"""

from typing import Any

import sympy

Bound = tuple[Any, Any]
"""A base and an exponent whose power has to be real."""


def in_reals(value: Any) -> Any:
    """Replaces roots of odd order by real roots; returns the expression unchanged if none is of a negative number."""
    roots = [power for power in value.atoms(sympy.Pow) if _odd_root(power)]
    if all(root.base.is_nonnegative for root in roots) or any(root.base.is_real is False for root in roots):
        return value
    return value.replace(_odd_root, _real_root)


def _odd_root(power: Any) -> bool:
    exponent = power.exp.doit() if isinstance(power, sympy.Pow) and not power.exp.free_symbols else None
    return isinstance(exponent, sympy.Rational) and exponent.q % 2 == 1 < exponent.q


def _real_root(power: Any) -> Any:
    base, exponent = power.base, power.exp.doit()
    return sympy.Abs(base) ** exponent * (sympy.sign(base) if exponent.p % 2 else 1)


def bounds(*sides: Any) -> list[Bound]:
    """Returns the powers that are real exactly where every part of both sides is real."""
    half, found = sympy.Rational(1, 2), []
    for part in (part for side in sides for part in sympy.preorder_traversal(side)):
        if isinstance(part, sympy.Pow) and not part.exp.is_integer and not part.base.is_nonnegative:
            found.append((part.base, part.exp))
        elif isinstance(part, sympy.log):
            found += [(each, half) for each in part.args if not each.is_nonnegative]
        elif isinstance(part, sympy.asin | sympy.acos | sympy.atanh):
            found.append((1 - part.args[0] ** 2, half))
        elif isinstance(part, sympy.asec | sympy.acsc):
            found.append((part.args[0] ** 2 - 1, half))
        elif isinstance(part, sympy.acosh):
            found.append((part.args[0] - 1, half))
    return found


def inside(found: list[Bound], point: dict[Any, Any]) -> bool:
    """Returns True if all bounds are real at a point."""
    for base, exponent in found:
        value = base.evalf(15, subs=point)
        if not value.is_real or (value < 0 and not exponent.subs(point).is_integer):
            return False
    return True
