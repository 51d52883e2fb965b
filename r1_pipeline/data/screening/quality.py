"""The quality screen finds unreadable reasoning: mixed languages, long paragraphs, code blocks; and long rows.

The paper (supplement B.3.3) names the three and gives no limits. Words are those of `data.language_id`; in English and
Chinese rows, which are many, they are counted by expressions and by script alone, and foreign text in Latin letters is
found when a reply is judged.
"""

from typing import TYPE_CHECKING

from r1_pipeline.data.language_id import words_in
from r1_pipeline.recipe import Recipe

if TYPE_CHECKING:
    import polars as pl

_LATIN = r"A-Za-z\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{24f}\x{1e00}-\x{1eff}"
_NOT_PROSE = (
    r"(?s)```.*?(?:```|\z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]"
    r"|\\begin\{[a-z]+\*?\}.*?\\end\{[a-z]+\*?\}|\[asy\].*?\[/asy\]"
    r"|\\boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|</?[A-Za-z]+>"
    r"|[A-Za-z]*[0-9_][A-Za-z0-9_]*"
)
_OTHER_SCRIPT = rf"[\p{{L}}--[{_LATIN}\p{{Han}}\p{{Greek}}]]{{2}}"


class QualityRecipe(Recipe):
    """The limits of a readable row."""

    max_characters: int
    """The maximum number of characters of a text."""
    min_language_share: float
    """The minimum share of the reasoning's words in its language, in [0, 1]."""
    max_paragraph: int
    """The maximum number of characters of a paragraph of reasoning; a paragraph ends at an empty line."""
    code_blocks: bool
    """Reasoning may contain fenced code if true."""


def flaws(rows: "pl.DataFrame", recipe: QualityRecipe) -> "pl.DataFrame":
    """Returns the first flaw of each row that has one: `row`, `reason`, `value` (what was measured).

    `rows` has `row`, `text`, `reasoning` (may be null) and `language` (a code, or null: English or Chinese, whichever
    has more words).
    """
    import polars as pl

    measured = rows.select(
        "row",
        too_long=pl.col("text").str.len_chars(),
        empty=pl.col("text").str.contains(r"[\p{L}\p{N}]"),
        code_block=pl.col("reasoning").str.count_matches("```", literal=True),
        long_paragraph=longest_paragraph(pl.col("reasoning")),
    ).join(_language_share(rows), on="row", how="left", maintain_order="left")
    broken = {
        "empty": ~pl.col("empty"),
        "too_long": pl.col("too_long") > recipe.max_characters,
        "mixed_language": pl.col("mixed_language") < recipe.min_language_share,
        "long_paragraph": pl.col("long_paragraph") > recipe.max_paragraph,
        "code_block": (pl.col("code_block") > 0) & (not recipe.code_blocks),
    }
    reason = pl.coalesce(pl.when(law).then(pl.lit(name)) for name, law in broken.items())
    value = pl.coalesce(pl.when(law).then(pl.col(name).cast(pl.Float64)) for name, law in broken.items())
    return measured.select("row", reason=reason, value=value).filter(pl.col("reason").is_not_null())


def longest_paragraph(text: "pl.Expr") -> "pl.Expr":
    """Returns an expression for the number of characters of the longest run without an empty line."""
    import polars as pl

    return text.str.split("\n\n").list.eval(pl.element().str.len_chars()).list.max()


def _language_share(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Returns `row` and `mixed_language`, the share of words in the language, where it is below 1."""
    import polars as pl

    suspect = pl.col("reasoning").str.contains(rf"\p{{Han}}|{_OTHER_SCRIPT}") | (pl.col("language") == "zh")
    either = pl.col("language").is_null() | pl.col("language").is_in(["en", "zh"])
    prose = rows.filter(either & suspect).with_columns(pl.col("reasoning").str.replace_all(_NOT_PROSE, " "))
    zh = pl.col("reasoning").str.extract_all(r"\p{Han}+").list.eval((pl.element().str.len_chars() + 1) // 2).list.sum()
    counted = prose.select(
        "row",
        "language",
        zh=zh,
        en=pl.col("reasoning").str.count_matches(rf"[{_LATIN}]{{2,}}(?:['’][{_LATIN}]+)*"),
        other=pl.col("reasoning").str.count_matches(_OTHER_SCRIPT + "+"),
    ).filter(pl.sum_horizontal("zh", "en", "other") > 0)
    target = (
        pl.when(pl.col("language") == "zh").then("zh").when(pl.col("language") == "en").then("en")
        .otherwise(pl.max_horizontal("zh", "en"))
    )  # fmt: skip
    share = counted.select("row", mixed_language=target / pl.sum_horizontal("zh", "en", "other"))
    return pl.concat([share, _other_languages(rows.filter(~pl.col("language").is_in(["en", "zh"])))])


def _other_languages(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Returns the same columns for rows in other languages, counted word by word."""
    import polars as pl

    counted = [words_in(text or "", language) for text, language in rows.select("reasoning", "language").iter_rows()]
    share = [own / total if total else 1.0 for own, total in counted]
    return rows.select("row", mixed_language=pl.Series(share, dtype=pl.Float64))
