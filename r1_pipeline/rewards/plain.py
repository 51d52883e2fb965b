"""This module rewrites plain notation, mathematics typed without LaTeX, as LaTeX.

`7*sin(pi*x/5)`, `log2(3)`, `x^(n+1)`, `cbrt(2)`, `abs(x)`, `binomial(n, k)`, `theta` and `oo` become commands, so that
both sides of a comparison have the same notation. Only whole runs of letters are names: `ins(x)` stays a product of
letters. A run of short functions and single letters (`nlogn`, `sinx`) is split into them. Words stay words: a function
needs an argument ("5 min" has none), and a Greek name in prose ("alpha particle") is a word. `mu`, `nu` and `xi` could
also be products of two letters: they are Greek only if the other side has that Greek letter.
Not covered: `C(n, k)`, which may be a point, and a product that spells a name (`asin x` is the arcsine).
"""

import re

_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|iota|kappa|lambda|rho|sigma|tau|upsilon|phi"
    "|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Upsilon|Phi|Psi|Omega"
)
_CAPITALS = {
    name: f"\\{name.lower()} "
    for name in ("Alpha", "Beta", "Epsilon", "Zeta", "Eta", "Iota", "Kappa", "Rho", "Tau", "Chi")
}
"""Greek capitals without a LaTeX command, since they look like Latin ones; their names mean the small letters."""
_ALWAYS = {"pi": "\\pi ", "Pi": "\\pi ", **dict.fromkeys(("oo", "inf", "infinity", "Infinity"), "\\infty ")}
_TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")
_FUNCTIONS = {
    **{name: f"\\{name} " for name in (*_TRIGONOMETRIC, "ln", "log", "exp", "sqrt", "arsinh", "arcosh", "artanh")},
    **{short + name: f"\\arc{name} " for name in _TRIGONOMETRIC for short in ("a", "arc")},
    "lg": "\\log ", "tg": "\\tan ", "ctg": "\\cot ", "cosec": "\\csc ", "arctg": "\\arctan ",
}  # fmt: skip
_CALLED = {
    **{name: f"\\{name}" for name in (
        "max", "min", "gcd", "lcm", "det", "dim", "ker", "deg", "arg", "floor", "ceil", "cbrt", "abs", "factorial",
        "binom", "frac",
    )},
    **{name: f"\\text{{{name}}}" for name in ("sgn", "rank", "tr", "erf")},
    "log2": "\\log_{2}", "log10": "\\log_{10}", "sign": "\\text{sgn}", "ceiling": "\\ceil", "binomial": "\\binom",
}  # fmt: skip
"""Names that are functions only directly before a bracket; elsewhere they are words or units."""
_CALLING = re.compile(r"\w+[({]|(?:det|dim|ker|rank|tr) [A-Z](?![a-zA-Z])")
_ARGUMENT = re.compile(
    r"(?:\s*(?:\^\s*(?:\{[^{}]*\}|\(-1\)|-?\w)|_\s*(?:\{[^{}]*\}|\w+)))*\s*"
    r"(?:[({|\d\u0370-\u03ff]|\\(?!text|\})|[a-zA-Z](?![a-zA-Z])|(?P<name>[a-zA-Z]+))"
)
_SHORT = "sin|cos|tan|cot|sec|csc|ln|log|lg|sqrt|exp"
_NEXT = "alpha|beta|theta|phi|[xyznt]"
_GLUED = re.compile(rf"[xyzntkmr]?(?:(?:{_SHORT})(?:{_NEXT})?)+|[nkmxrt]?pi[xrk]?")
_GLUED_WORD = re.compile(rf"(?:{_SHORT})[yzt]|pix|kpi")
_LINK = re.compile(rf"{_SHORT}|{_NEXT}|pi|[kmr]")
_NAME = re.compile(
    r"\\(?:begin|end)\{[^{}]*\}|\\text\{\s*(?P<worded>[a-zA-Z]+)\s*\}|\\text\{[^{}]*\}"
    r"|(?<![\\a-zA-Z])(?P<typed>log(?:2|10)(?=\()|[a-zA-Z]{2,})"
)
_SIGN = re.compile(r"(?:sum|prod|int|lim)\s*_")
_CALL = re.compile(r"\\(sqrt|cbrt|abs|floor|ceil|factorial|binom)\s*(\[[^\[\]]*\])?\s*\(|\^\s*(-?)\s*\(")
_BRACKETS = {
    "cbrt": ("\\sqrt[3]{", "}"), "abs": ("|", "|"), "floor": ("\\lfloor ", " \\rfloor "),
    "ceil": ("\\lceil ", " \\rceil "), "factorial": ("(", ")!"), "binom": ("\\binom{", "}"),
}  # fmt: skip
_POWER = re.compile(r"\^\s*(-?\s*\d*\.\d+|-\s*(?:\d+|[a-zA-Z](?![a-zA-Z])))")


def spelled(text: str) -> str:
    """Returns the text with plain notation rewritten as LaTeX, in time linear in its length."""
    names = [name["typed"] for name in _NAME.finditer(text)]
    if names:
        prose = any(len(name) > 3 and not _known(name) for name in names if name)
        text = _NAME.sub(lambda name: _command(name, prose), text)
    return _POWER.sub(r"^{\1}", _braced(text)) if "^" in text or "(" in text else text


def greek_pair(reference: str, answer: str) -> tuple[str, str]:
    """Returns both sides of a comparison, with `mu`, `nu` and `xi` as Greek letters if the other side has them."""
    for name in ("mu", "nu", "xi"):
        letter, typed = f"\\{name}", re.compile(rf"(?<![\\a-zA-Z]){name}(?![a-zA-Z])")
        if letter in reference:
            answer = typed.sub(rf"\\{name} ", answer)
        elif letter in answer:
            reference = typed.sub(rf"\\{name} ", reference)
    return reference, answer


def _known(name: str) -> bool:
    listed = any(name in table for table in (_ALWAYS, _FUNCTIONS, _CALLED, _CAPITALS))
    return listed or _GREEK.fullmatch(name) is not None or _glued(name)


def _glued(name: str) -> bool:
    return _GLUED.fullmatch(name) is not None and not _GLUED_WORD.fullmatch(name)


def _command(match: re.Match[str], prose: bool) -> str:
    """Returns a name as a LaTeX command if its context allows that reading, else unchanged."""
    name, after = match["worded"] or match["typed"], match.string[match.end() : match.end() + 80]
    if name is None:
        return match[0]
    if name in _CALLED and _CALLING.match(name + after):
        return _CALLED[name]
    if name in _FUNCTIONS and _applied(name, after, prose):
        return _FUNCTIONS[name]
    if _SIGN.match(name + after):
        return f"\\{name}"
    if name in _ALWAYS:
        return _ALWAYS[name]
    if (name in _CAPITALS or _GREEK.fullmatch(name)) and not prose:
        return _CAPITALS.get(name, f"\\{name} ")
    if match["typed"] and _glued(name):
        links = _LINK.findall(name)
        if links[-1] not in _FUNCTIONS or _applied(links[-1], after, prose):
            return "".join(_linked(link) for link in links)
    return match[0]


def _linked(name: str) -> str:
    return _FUNCTIONS.get(name) or _ALWAYS.get(name) or (f"\\{name} " if len(name) > 1 else f"{name} ")


def _applied(name: str, after: str, prose: bool) -> bool:
    """Returns True if the text after a function's name is an argument of the function."""
    argument = _ARGUMENT.match(after)
    if argument is None or (argument["name"] and not _known(argument["name"])):
        return False
    return after.startswith("(") or not (prose or (name == "sec" and argument[0][-1].isdigit()))


def _braced(text: str) -> str:
    """Replaces the round brackets around arguments and exponents by the brackets that LaTeX commands need."""
    calls = {call.end() - 1: call for call in _CALL.finditer(text)}
    if not calls:
        return text
    edits: dict[int, tuple[int, str]] = {}
    opened: list[tuple[int, list[int]]] = []
    for position, char in enumerate(text):
        if char == "(":
            opened.append((position, []))
        elif char == "," and opened:
            opened[-1][1].append(position)
        elif char == ")" and opened:
            start, commas = opened.pop()
            if call := calls.get(start):
                edits |= _rebracketed(call, commas, position)
    pieces, done = [], 0
    for start, (end, new) in sorted(edits.items()):
        pieces += [text[done:start], new]
        done = end
    return "".join([*pieces, text[done:]])


def _rebracketed(call: re.Match[str], commas: list[int], close: int) -> dict[int, tuple[int, str]]:
    """Returns the replacements for the brackets of one call: start -> (end, new text)."""
    name, option, sign = call.groups()
    if name is None:
        left, right = ("^{-(", ")}") if sign else ("^{", "}")
    elif name == "sqrt":
        left, right = f"\\sqrt{option or ''}{{", "}"
    else:
        left, right = _BRACKETS[name]
    edits = {call.start(): (call.end(), left), close: (close + 1, right)}
    if name == "binom":
        return {**edits, commas[0]: (commas[0] + 1, "}{")} if len(commas) == 1 else {}
    return edits
