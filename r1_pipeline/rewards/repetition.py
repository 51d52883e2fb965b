"""This module measures repetition: the share of a text's n-grams that occurred earlier in it.

An n-gram has 8 tokens, each a Latin word, a number, a Chinese character, or a mark. An honest long derivation stays
below one half, and a loop tends to 1. The caller's recipe sets the limit. As a reward part it counts against a reply
(open-r1's `repetition_penalty`, after Yeo et al. 2025, appendix C.2, where the tokens are words).
"""

import re

_N = 8
_TOKEN = re.compile(r"[A-Za-z]+|\d+|\S")


def repetition(text: str) -> float:
    """Returns 1 - (distinct n-grams / n-grams), in [0, 1); 0.0 for a text shorter than one n-gram."""
    tokens = _TOKEN.findall(text)
    grams = list(zip(*(tokens[start:] for start in range(_N)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
