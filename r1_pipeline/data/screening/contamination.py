"""Decontamination finds benchmark items in texts: a shared n-gram flags a pair, and the rest of the item confirms it.

The paper drops every text that shares a 10-gram with an evaluation question. In mathematics that matches stock phrases
("where m and n are relatively prime positive integers") far more often than leaks. Here a shared n-gram only selects a
pair of text and item, and the pair counts as contamination if the text also

- contains at least `min_likeness` of the item's word triples, and the item in one passage except for a share of 1 -
`min_vocabulary` of its words, with each of its numbers in its place and no other among them (`alignment`); or
- contains, in any place, at least `min_share` of its triples, at least `min_vocabulary` of its different words and all
its triples with a number in them, and no passage has another number in the place of one: a problem with another object
or other numbers is another problem, and a number proves nothing where it occurs among other words.

An item shorter than the window is found whole, as the same tokens, signs included, from the start of a sentence or line
to the end of one; an item of fewer than `min_item` words is found only where it is the whole text. Items without words
are never found. Not covered: paraphrase, translation.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from r1_pipeline.data.screening.alignment import NUMBER_WORDS, comparable_words, stands_in
from r1_pipeline.data.screening.ngrams import BUCKETS, TRIGRAM, Mask, Ngrams, Tokens, bucket, tokenize
from r1_pipeline.data.screening.normalization import FIGURE, SENTENCE_END, SIGNS, TOKEN, normalized
from r1_pipeline.recipe import Recipe

if TYPE_CHECKING:
    import polars as pl


class ContaminationRecipe(Recipe):
    """The limits beyond which a text counts as contaminated."""

    window: int
    """The number of words of an n-gram; 10 in the paper. A Chinese character is a word."""
    min_share: float
    """The minimum share of the item's word triples in the text, in [0, 1]."""
    min_vocabulary: float
    """The minimum share of the item's different words, or of its words one by one, in the text, in [0, 1]."""
    min_likeness: float
    """The minimum share of the item's word triples above which text and item are compared word by word, in [0, 1]."""
    common: int
    """The maximum number of items with an n-gram; one found in more items is ignored."""
    min_item: int
    """The number of words of the shortest item that is searched inside other text."""


@dataclass(frozen=True)
class Index:
    """Benchmark items, prepared for the search."""

    recipe: ContaminationRecipe
    items: "pl.DataFrame"
    """The items: `item` (row number), `id`, `text`, `plain`, `words` (list)."""
    grams: "pl.DataFrame"
    """The n-grams: `gram` (hash), `item`, `start` (its first word)."""
    table: np.ndarray[tuple[int], np.dtype[np.bool_]]
    trigrams: "pl.DataFrame"
    words: "pl.DataFrame"
    numbered: "pl.DataFrame"
    """The distinct values of each item, `item` and `value`, for triples, words and triples with a number."""
    short: "pl.DataFrame"
    """The items below the window: `item`, `plain`, `embedded` (searched inside other text)."""


def build_index(references: "pl.DataFrame", recipe: ContaminationRecipe) -> Index:
    """Returns the index of `references` (`id`, `text`); items with the same tokens count once, under the first id.

    Figures in items are removed, since leaks often come without them.
    """
    import polars as pl

    references = references.with_columns(pl.col("text").str.replace_all(FIGURE, " "))
    tokens = tokenize(references["text"])
    is_sign = pl.element().is_in(SIGNS)
    items = (
        references.select("id", "text")
        .with_columns(tokens.plain)
        .with_columns(words=pl.col("plain").str.strip_chars().str.split(" ").list.eval(pl.element().filter(~is_sign)))
        .with_row_index("item")
        .filter(pl.Series(tokens.words.lengths > 0))
        .unique("plain", keep="first", maintain_order=True)
    )
    grams = (
        _table(tokens.words.of(recipe.window), "item")
        .with_columns(start=pl.int_range(pl.len()).over("item"))
        .unique(["item", "value"], keep="first", maintain_order=True)
        .join(items, on="item", how="semi")
        .filter(pl.len().over("value") <= recipe.common)
        .rename({"value": "gram"})
    )
    known = grams["gram"].unique().to_numpy()
    table = np.zeros(BUCKETS, dtype=np.bool_)
    table[bucket(known)] = True
    size = pl.col("words").list.len()
    short = items.filter(size < recipe.window).select("item", "plain", embedded=size >= recipe.min_item)
    with_number = tokens.words.of(TRIGRAM, touching=_says_number(tokens.words, tokens.is_number[tokens.is_word]))
    trigrams, words, numbered = (
        _table(found, "item").unique() for found in (tokens.words.of(TRIGRAM), tokens.words, with_number)
    )
    return Index(recipe, items, grams, table, trigrams, words, numbered, short)


def contaminated(texts: "pl.Series", tokens: Tokens, index: Index) -> "pl.DataFrame":
    """Returns the rows that contain an item: `row`, `against` (id), `ngram`, `value` (share of the item's triples
    found)."""
    import polars as pl

    found = pl.concat([_long(texts, tokens, index), _short(texts, tokens, index)])
    best = found.sort("row", "value", "item", descending=[False, True, False]).unique("row", maintain_order=True)
    return best.join(index.items.select("item", against="id"), on="item").select("row", "against", "ngram", "value")


def pairs_sharing(tokens: Tokens, index: Index) -> "pl.DataFrame":
    """Returns texts and items that share an n-gram: `row`, `item`, `start` (its first word in the item) and three
    shares.

    The shares are those of the item's triples (`value`), its different words (`words`) and its triples with a number
    (`numbered`; null where it has none) that the text contains.
    """
    import polars as pl

    words = tokens.words
    grams = words.of(index.recipe.window)
    known = grams.where(index.table[bucket(grams.values)])
    hits = _table(known, "row").join(index.grams, left_on="value", right_on="gram")
    pairs = hits.group_by("row", "item").agg(pl.col("start").min())
    rows = pairs["row"].unique().to_numpy()
    among = np.isin(words.rows, rows)
    words, is_number = words.where(among), tokens.is_number[tokens.is_word][among]
    is_number = _says_number(words, is_number)
    for name, mine, theirs in (
        ("value", words.of(TRIGRAM), index.trigrams),
        ("words", words, index.words),
        ("numbered", words.of(TRIGRAM, touching=is_number), index.numbered),
    ):
        pairs = pairs.join(_held(mine, theirs, pairs, name), on=["row", "item"], how="left")
    return pairs


def _long(texts: "pl.Series", tokens: Tokens, index: Index) -> "pl.DataFrame":
    import polars as pl

    recipe = index.recipe
    pairs = pairs_sharing(tokens, index).filter(pl.col("value") >= recipe.min_likeness)
    spread_out = (
        (pl.col("value") >= recipe.min_share)
        & (pl.col("words") >= recipe.min_vocabulary)
        & (pl.col("numbered").fill_null(1.0) == 1.0)
    )
    stands = _stands_in(pairs, texts, index)
    found = pairs.filter(pl.lit(stands) | (spread_out & pl.lit(stands.is_not_null()))).drop("words")
    ngram = pl.col("words").list.slice("start", recipe.window).list.join(" ")
    return found.join(index.items, on="item").select("row", "item", "value", ngram=ngram)


def _stands_in(pairs: "pl.DataFrame", texts: "pl.Series", index: Index) -> "pl.Series":
    """Returns for each of `pairs` whether a passage of the text contains the item; null: with another number."""
    import polars as pl

    rows, items = (pairs[name].unique(maintain_order=True) for name in ("row", "item"))
    mine = dict(zip(rows, comparable_words(texts.gather(rows)), strict=True))
    wanted = index.items.filter(pl.col("item").is_in(items.implode()))
    theirs = dict(zip(wanted["item"], comparable_words(wanted["text"]), strict=True))
    recipe = index.recipe
    stands = [
        stands_in(mine[row], theirs[item], recipe.window, recipe.min_vocabulary)
        for row, item in pairs.select("row", "item").rows()
    ]
    return pl.Series(stands, dtype=pl.Boolean)


def _says_number(words: Ngrams, is_number: Mask) -> Mask:
    """Returns a mask of the numbers among `words`, in digits or spelled out."""
    import polars as pl

    either: Mask = is_number | np.isin(words.values, pl.Series(NUMBER_WORDS).hash().to_numpy())
    return either


def _held(grams: Ngrams, of_items: "pl.DataFrame", pairs: "pl.DataFrame", name: str) -> "pl.DataFrame":
    """Returns `row`, `item` and the share of the item's values (`of_items`) that the row (`grams`) has, for each
    pair."""
    import polars as pl

    mine = _table(grams, "row").unique().with_columns(has=True)
    wanted = pairs.select("row", "item").join(of_items, on="item")
    held = wanted.join(mine, on=["row", "value"], how="left")
    return held.group_by("row", "item").agg(pl.col("has").is_not_null().mean().alias(name))


def _short(texts: "pl.Series", tokens: Tokens, index: Index) -> "pl.DataFrame":
    """Returns the texts that contain an item below the window; these rare texts are searched sentence by sentence."""
    import polars as pl

    if index.short.is_empty():
        return _none()
    plain = pl.DataFrame({"row": pl.arange(len(texts), eager=True, dtype=pl.UInt32), "plain": tokens.plain})
    pattern = index.short["plain"].to_list()
    holds = plain.filter(pl.col("plain").str.contains_any(pattern))
    pairs = (
        holds.with_columns(short=pl.col("plain").str.extract_many(pattern, overlapping=True))
        .explode("short")
        .unique()
        .join(index.short, left_on="short", right_on="plain")
    )
    whole = pl.col("plain") == pl.col("short")
    sentences = {row: _sentences(texts[row]) for row in pairs.filter(~whole & pl.col("embedded"))["row"].unique()}
    stands = [
        is_whole or (embedded and _stands(short, sentences[row]))
        for row, short, embedded, is_whole in pairs.select("row", "short", "embedded", whole).rows()
    ]
    return pairs.filter(pl.Series(stands, dtype=pl.Boolean)).select(
        pl.col("row").cast(pl.Int64), "item", value=pl.lit(1.0), ngram=pl.col("short").str.strip_chars()
    )


def _sentences(text: str) -> str:
    """Returns the tokens of `text` with a mark at each end of a sentence or line."""
    import polars as pl

    marked = normalized(pl.lit(text)).str.replace_all(SENTENCE_END, " ¶ ").str.extract_all(TOKEN + "|¶").list.join(" ")
    return f"¶ {pl.select(marked).item()} ¶"


def _stands(short: str, sentences: str) -> bool:
    """Returns true if `short` begins after a sentence mark and ends before one."""
    inside = "(?: ¶)* ".join(re.escape(token) for token in short.split())
    return re.search(f"¶ {inside} ¶", sentences) is not None


def _table(grams: Ngrams, name: str) -> "pl.DataFrame":
    import polars as pl

    key = pl.Series(name, grams.rows, dtype=pl.UInt32 if name == "item" else pl.Int64)
    return pl.DataFrame([key, pl.Series("value", grams.values)])


def _none() -> "pl.DataFrame":
    import polars as pl

    return pl.DataFrame(schema={"row": pl.Int64, "item": pl.UInt32, "value": pl.Float64, "ngram": pl.String})
