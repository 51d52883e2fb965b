"""Deduplication finds texts that repeat an earlier one, exactly (the same tokens, signs included) or nearly.

Near duplicates are found by MinHash and locality-sensitive hashing (rensa's R-MinHash): a text is the set of its token
triples, sketched in `permutations` slots that are split into `bands`; texts that agree in a whole band are compared,
and are near duplicates if the estimated Jaccard similarity of their triples reaches `similarity` *and* that of their
numbers reaches `number_similarity`: "3 + 5" and "3 + 8" are two problems. Two texts of similarity s are compared with
probability 1 - (1 - s^(permutations / bands))^bands; the standard error of the estimate is sqrt(s (1 - s) /
permutations). Eight bits of each slot are kept (b-bit MinHash, Li and König 2010): slots of unrelated texts agree once
in 256, and the estimate is corrected for that. Triples that many rows have (`boilerplate`) are not in a text's set, nor
are numbers that occur in such triples only: a prompt template does not make two questions alike, and one question in
two templates is one.

Within a band a text is compared with the first of its kind and with the one before it, so that the work grows linearly
with the rows. The earlier text stays. Texts below `min_tokens` tokens have exact duplicates only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from r1_pipeline.data.screening.boilerplate import Boilerplate, without_boilerplate
from r1_pipeline.data.screening.ngrams import MULTIPLIER, TRIGRAM, Ngrams, Tokens
from r1_pipeline.recipe import Recipe

if TYPE_CHECKING:
    import polars as pl

NUMBER_SLOTS = 64
SEED = 42
Rows = NDArray[np.int64]
Slots = NDArray[np.uint8]
CHANCE = 1 / 256
"""The probability that two unrelated slots agree."""


class DuplicatesRecipe(Recipe):
    """The limits beyond which a text counts as a duplicate."""

    permutations: int
    """The number of slots of a sketch."""
    bands: int
    """The number of bands of a sketch; divides `permutations`."""
    similarity: float
    """The minimum Jaccard similarity of the triples of near duplicates, in [0, 1]."""
    number_similarity: float
    """The minimum Jaccard similarity of the numbers of near duplicates, in [0, 1]."""
    min_tokens: int
    """The number of tokens of the shortest text that can be a near duplicate, without those in common triples only."""
    common_share: float
    """The share of the rows above which a triple is common and carries no weight, in (0, 1]; at 1 no triple is."""
    common_rows: int
    """The minimum number of rows of a common triple."""


@dataclass(frozen=True)
class Sketches:
    """The sketches of texts, permutations + NUMBER_SLOTS + 9 bytes each."""

    exact: NDArray[np.uint64]
    trigrams: Slots
    """Slots of the triples, shape (rows, permutations)."""
    numbers: Slots
    """Slots of the numbers, shape (rows, NUMBER_SLOTS); zeros for a text without numbers."""
    comparable: NDArray[np.bool_]
    """A mask of the texts that are long enough for near duplicates."""


def sketch(tokens: Tokens, common: Boilerplate, recipe: DuplicatesRecipe) -> Sketches:
    """Returns the sketches of a column of texts, without the triples in `common`."""
    trigrams, standing = without_boilerplate(tokens.all, common)
    return Sketches(
        tokens.plain.hash().to_numpy(),
        _minhash(trigrams, recipe.permutations),
        _minhash(tokens.all.where(tokens.is_number & standing), NUMBER_SLOTS),
        trigrams.lengths >= max(recipe.min_tokens - TRIGRAM + 1, 1),
    )


def join_sketches(parts: Sequence[Sketches]) -> Sketches:
    """Concatenates the sketches of several batches, in their order."""
    return Sketches(
        np.concatenate([part.exact for part in parts]),
        np.concatenate([part.trigrams for part in parts]),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.comparable for part in parts]),
    )


def duplicates(sketches: Sketches, rows: Rows, recipe: DuplicatesRecipe) -> "pl.DataFrame":
    """Returns those of `rows` (ascending) that repeat an earlier one that stays: `row`, `reason`, `of` (row),
    `value`."""
    import polars as pl

    _, first, group = np.unique(sketches.exact[rows], return_index=True, return_inverse=True)
    original = rows[first[group]]
    is_copy = original != rows
    copies = zip(rows[is_copy].tolist(), original[is_copy].tolist(), strict=True)
    found = [(row, "duplicate", of, 1.0) for row, of in copies]
    candidates = rows[~is_copy & sketches.comparable[rows]]
    dropped: set[int] = set()
    for row, of, value in _similar(sketches, candidates, recipe):
        if row not in dropped and of not in dropped:
            dropped.add(row)
            found.append((row, "near_duplicate", of, value))
    schema = {"row": pl.Int64, "reason": pl.String, "of": pl.Int64, "value": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row").sort("row")


def _similar(sketches: Sketches, rows: Rows, recipe: DuplicatesRecipe) -> list[tuple[int, int, float]]:
    """Returns (row, earlier row, similarity) of the compared pairs that are near duplicates, in order of both."""
    width = recipe.permutations // recipe.bands
    found: dict[tuple[int, int], float] = {}
    for band in range(recipe.bands):
        key = _band_key(sketches.trigrams[rows, band * width : (band + 1) * width])
        order = np.argsort(key, kind="stable")
        same = np.flatnonzero(key[order[1:]] == key[order[:-1]])
        starts = np.maximum.accumulate(np.where(np.isin(np.arange(len(order)), same + 1), 0, np.arange(len(order))))
        later = rows[order[same + 1]]
        for earlier in (rows[order[same]], rows[order[starts[same + 1]]]):
            for pair, value in _verified(sketches, later, earlier, recipe):
                found[pair] = value
    return [(row, of, value) for (row, of), value in sorted(found.items())]


def _verified(
    sketches: Sketches, later: Rows, earlier: Rows, recipe: DuplicatesRecipe
) -> list[tuple[tuple[int, int], float]]:
    found = []
    for start in range(0, len(later), 65_536):
        a, b = later[start : start + 65_536], earlier[start : start + 65_536]
        value = _similarity(sketches.trigrams[a], sketches.trigrams[b])
        numbers = _similarity(sketches.numbers[a], sketches.numbers[b])
        ok = (value >= recipe.similarity) & (numbers >= recipe.number_similarity)
        found += list(zip(zip(a[ok].tolist(), b[ok].tolist(), strict=True), value[ok].tolist(), strict=True))
    return found


def _similarity(a: Slots, b: Slots) -> NDArray[np.float64]:
    """Returns the estimated Jaccard similarity of the sets behind each pair of rows."""
    agree: NDArray[np.float64] = (a == b).mean(axis=1)
    return np.maximum((agree - CHANCE) / (1 - CHANCE), 0)


def _band_key(slots: Slots) -> NDArray[np.uint64]:
    key = np.zeros(len(slots), dtype=np.uint64)
    for column in slots.T:
        key *= MULTIPLIER
        key += column
    return key


def _minhash(grams: Ngrams, slots: int) -> Slots:
    """Returns the slots of each row, shape (rows, slots); rows without values are zeros."""
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(grams.values, grams.offsets, slots, SEED)
    digests = np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(grams.lengths), slots)
    digests[grams.lengths == 0] = 0
    return digests.astype(np.uint8)
