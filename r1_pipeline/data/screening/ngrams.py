"""Hashed tokens and n-grams of many texts are flat arrays, row after row, with no Python object per token.

Hashes are Polars' own (64 bits), stable within one version of Polars only: they are compared within a process and never
stored. An n-gram is the polynomial hash of its tokens; among 10^9 n-grams and 10^6 references about one pair in 10^4
runs collides.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from r1_pipeline.data.screening.normalization import spaced, tokens

if TYPE_CHECKING:
    import polars as pl

Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
TRIGRAM = 3
BUCKET_BITS = 24
BUCKETS = 2**BUCKET_BITS
"""The number of buckets of hashes, for tables that are searched before, or instead of, an exact search."""


def bucket(values: Hashes) -> Hashes:
    """Returns the bucket of every hash, below `BUCKETS`."""
    return values >> np.uint64(64 - BUCKET_BITS)


@dataclass(frozen=True)
class Ngrams:
    """Hashes `values` of all rows; those of row i are at `offsets[i]:offsets[i + 1]`."""

    values: Hashes
    offsets: Hashes

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of every value."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of values of every row."""
        return np.diff(self.offsets.astype(np.int64))

    def where(self, mask: Mask) -> "Ngrams":
        """Returns the values where `mask` is true, in the same rows."""
        before = np.concatenate([[0], np.cumsum(mask)]).astype(np.uint64)
        return Ngrams(self.values[mask], before[self.offsets])

    def runs(self, n: int) -> tuple[Hashes, Mask]:
        """Returns the hash of the run of `n` values that begins at each value, and a mask of those that end in the same
        row."""
        count = max(len(self.values) - n + 1, 0)
        rolled = np.zeros(count, dtype=np.uint64)
        for i in range(n):
            rolled *= MULTIPLIER
            rolled += self.values[i : i + count]
        rows = self.rows
        within: Mask = rows[:count] == rows[n - 1 :]
        return rolled, within

    def of(self, n: int, touching: Mask | None = None) -> "Ngrams":
        """Returns all runs of `n` values within a row, or those with a value where `touching` is true.

        A row of fewer than `n` values has none.
        """
        rolled, wanted = self.runs(n)
        if touching is not None:
            wanted &= np.logical_or.reduce([touching[i : i + len(rolled)] for i in range(n)])
        return self.starting(n, rolled, wanted)

    def starting(self, n: int, runs: Hashes, wanted: Mask) -> "Ngrams":
        """Returns those of the `runs` of `n` values that are `wanted`, in their rows."""
        return Ngrams(runs, _padded(self.offsets, len(runs))).where(wanted)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a column of texts."""

    all: Ngrams
    is_word: Mask
    """A mask of letters, numbers and Chinese characters; the others are signs."""
    is_number: Mask
    plain: "pl.Series"
    """The texts as their tokens with a space before, between and after."""

    @cached_property
    def words(self) -> Ngrams:
        """The tokens without the signs."""
        return self.all.where(self.is_word)

    @cached_property
    def numbers(self) -> Ngrams:
        """The numbers among the tokens."""
        return self.all.where(self.is_number)


def tokenize(texts: "pl.Series") -> Tokens:
    """Returns the tokens of `texts`, which has no nulls."""
    import polars as pl

    lists = texts.to_frame("text").select(tokens(pl.col("text"))).to_series()
    offsets = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy())]).astype(np.uint64)
    flat = lists.filter(lists.list.len() > 0).explode()
    is_number = (flat >= "0") & (flat < ":")
    plain = lists.to_frame("lists").select(plain=spaced(pl.col("lists"))).to_series()
    return Tokens(
        Ngrams(flat.hash().to_numpy(), offsets),
        (is_number | (flat >= "a")).to_numpy(),
        is_number.to_numpy(),
        plain,
    )


def _padded(offsets: Hashes, count: int) -> Hashes:
    """Returns the row offsets of an array cut to its first `count` values."""
    return np.minimum(offsets, np.uint64(count))
