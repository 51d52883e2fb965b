"""Repetition: how much of a text says again what it has said.

The share of n-grams that occurred before, n = 8 tokens (a Latin word, a number, a Chinese character, or a mark).
An honest long derivation stays below a half, a loop tends to 1. The limit is the caller's recipe. As a reward it counts
against a reply (open-r1's `repetition_penalty`, after Yeo et al. 2025, appendix C.2, there with words as tokens).
"""

import re

_N = 8
_TOKEN = re.compile(r"[A-Za-z]+|\d+|\S")


def repetition(text: str) -> float:
    """1 - distinct n-grams / n-grams; 0.0 for texts shorter than one n-gram."""
    tokens = _TOKEN.findall(text)
    grams = list(zip(*(tokens[start:] for start in range(_N)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
