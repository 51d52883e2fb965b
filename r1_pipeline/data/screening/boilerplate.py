"""Boilerplate is text that many rows share, such as a prompt template; it is no evidence that two rows are alike.

`boilerplate_trigrams` counts the rows of a sample in which each token triple occurs, in a table of fixed size, so that
memory does not grow with the rows. `loss_warning` tells people that most rows are dropped, and which words these share.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from r1_pipeline.data.screening.ngrams import BUCKETS, TRIGRAM, Hashes, Mask, Ngrams, bucket, tokenize

if TYPE_CHECKING:
    import polars as pl

SAMPLE = 4096
"""The number of rows sampled to find common triples."""
PHRASE_SAMPLE = 256
"""The number of texts sampled to find the phrase that they share."""
PHRASE_WORDS = 24
"""The maximum number of words of that phrase in a message."""
_STRIDE = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Boilerplate:
    """Token triples that carry no weight, as buckets of their hashes."""

    buckets: NDArray[np.int64]

    @cached_property
    def _table(self) -> Mask:
        table = np.zeros(BUCKETS, dtype=np.bool_)
        table[self.buckets] = True
        return table

    def holds(self, values: Hashes) -> Mask:
        """Returns a mask of the common ones among the triples `values`."""
        held: Mask = self._table[bucket(values)]
        return held


NO_BOILERPLATE = Boilerplate(np.empty(0, dtype=np.int64))


def sampled_rows(height: int) -> NDArray[np.int64]:
    """Returns the numbers of at most `SAMPLE` of `height` rows, spread evenly with a step that avoids periods of the
    table."""
    if height <= SAMPLE:
        return np.arange(height)
    strata = np.arange(SAMPLE)
    return ((strata + strata * _STRIDE % 1) * height / SAMPLE).astype(np.int64)


def boilerplate_trigrams(texts: Iterable["pl.Series"], height: int, share: float, least: int) -> Boilerplate:
    """Returns the triples of at least `share` of all `height` rows, and of `least` rows, estimated from the sample
    `texts`."""
    counts = np.zeros(BUCKETS, dtype=np.uint16)  # of `SAMPLE` rows at most
    seen = 0
    for piece in texts:
        trigrams = tokenize(piece).all.of(TRIGRAM)
        found = np.sort(trigrams.rows * BUCKETS + bucket(trigrams.values).astype(np.int64))
        once = found[np.diff(found, prepend=-1) > 0]  # np.unique hashes, which is slower
        np.add.at(counts, once % BUCKETS, np.uint16(1))
        seen += len(piece)
    enough = max(share * height, least) * seen / max(height, 1)
    return Boilerplate(np.flatnonzero(counts >= max(enough, 1)))


def without_boilerplate(tokens: Ngrams, common: Boilerplate) -> tuple[Ngrams, Mask]:
    """Returns the triples of `tokens` that are not common, and a mask of the tokens that occur in one of them."""
    runs, within = tokens.runs(TRIGRAM)
    wanted = within & ~common.holds(runs)
    standing = np.zeros(len(tokens.values), dtype=np.bool_)
    for i in range(TRIGRAM):
        standing[i : i + len(runs)] |= wanted
    return tokens.starting(TRIGRAM, runs, wanted), standing


def loss_warning(dropped: "pl.DataFrame", rows: "pl.LazyFrame") -> str:
    """Returns the warning that most of `rows` are `dropped`, why, and with which words; empty if at most half are.

    `dropped` has `row` and `reason`, `rows` has `text`.
    """
    import polars as pl

    height = rows.select(pl.len()).collect(engine="streaming").item()
    if 2 * dropped.height <= height:
        return ""
    reasons = dropped["reason"].value_counts().sort("count", "reason", descending=[True, False])
    reason, count = reasons.row(0)
    those = dropped.filter(reason=reason)["row"]
    few = those.gather(np.unique(np.linspace(0, len(those) - 1, PHRASE_SAMPLE).astype(np.int64))).implode()
    texts = rows.with_row_index("place").filter(pl.col("place").cast(pl.Int64).is_in(few)).select("text")
    phrase = shared_phrase(texts.collect(engine="streaming")["text"].fill_null(""))
    warning = f"{dropped.height:,} of {height:,} rows are dropped, {count:,} of them as {reason}"
    return warning + (f"; most of these share the words: {phrase}" if phrase else "")


def shared_phrase(texts: "pl.Series") -> str:
    """Returns the longest run of words in the first of `texts` whose triples occur in most of them; empty if there is
    none.

    A long phrase is cut.
    """
    words = [plain.split() for plain in tokenize(texts).plain]
    trigrams = [list(zip(row, row[1:], row[2:], strict=False)) for row in words]
    counts = Counter(triple for row in trigrams for triple in set(row))
    best, start = (0, 0), 0
    for place, triple in enumerate(trigrams[0]):
        if counts[triple] <= len(words) / 2:
            start = place + 1
        best = max(best, (place - start + 1, -start))
    length, start = best[0], -best[1]
    phrase = words[0][start : start + length + TRIGRAM - 1] if length else []
    return " ".join(phrase[:PHRASE_WORDS]) + (" …" if len(phrase) > PHRASE_WORDS else "")
