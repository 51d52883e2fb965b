"""Measures screening: recall of planted copies and leaks, rate, and comparison with datatrove's decontamination.

    python benchmarks/screening.py DATA [--rows N]        DATA holds the public data sets named below
    pip install 'r1-pipeline[bench]'                      for the part with datatrove

It prints JSON. Rates are per core (`POLARS_MAX_THREADS=1`), on the same rows and items in the same process; every row
on which the two tools disagree is listed with its cause. Look-alikes are real training problems that share 8-grams with
a held-out problem but have another answer. Rows are planted among rows that passed the screen, so that every dropped
row is a planted one.
"""

import argparse
import json
import os
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl

from r1_pipeline.data.screening.contamination import build_index, contaminated, pairs_sharing
from r1_pipeline.data.screening.ngrams import tokenize
from r1_pipeline.data.screening.normalization import FIGURE
from r1_pipeline.data.screening.rows import STANDARD_SCREENING, screen_rows

SETS = {  # file: (question, answer)
    "math/math_train_deepscaler.parquet": ("problem", "answer"),
    "competition/aime_1983_2023.parquet": ("problem", "answer"),
    "gsm8k/gsm8k_train.parquet": ("question", "answer"),
    "zh/alpaca_zh_demo.parquet": ("instruction", "output"),
}
HELD_OUT = {
    "math/math500_test.parquet": ("problem", "answer"),
    "competition/aime24_qwq.parquet": ("prompt", "answer"),
    "competition/aime25_qwq.parquet": ("prompt", "answer"),
    "competition/amc23_test.parquet": ("problem", "answer"),
    "gsm8k/gsm8k_test.parquet": ("question", "answer"),
    "zh/cmath.parquet": ("question", "answer"),
}
EXACT, NEAR, LEAKS, ALIKE = 1000, 1000, 500, 500
CLAUSE = re.compile(r"(?<=[.,;] )[A-Za-z' ]{20,60}(?=[.,;])")
CLAUSE_IN_RUST = r"[.,;] [A-Za-z' ]{20,60}[.,;]"
NUMBER = re.compile(r"(?<![\d.,])\d+(?![\d.,]*\d)")
OTHER_CLAUSES = ("as everybody knows", "which came as a surprise", "to say it once more", "so the story goes")


def load(data: Path, sets: dict[str, tuple[str, str]]) -> pl.DataFrame:
    """Loads all sets as a frame of `id`, `question`, `answer`."""
    return pl.concat(
        pl.read_parquet(data / file).select(
            id=pl.format(Path(file).stem + "#{}", pl.int_range(pl.len())),
            question=question,
            answer=pl.col(answer).cast(pl.String),
        )
        for file, (question, answer) in sets.items()
    )


def as_rows(frame: pl.DataFrame) -> pl.LazyFrame:
    """Returns the rows to screen, with `id` and `text`."""
    null = pl.lit(None, dtype=pl.String)
    return frame.lazy().select("id", "text", reasoning=null, language=null)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of 2,000 characters for the rate")
    arguments = parser.parse_args()
    train, held = load(arguments.data, SETS), load(arguments.data, HELD_OUT)
    items = held.select("id", text="question")
    result = {
        "planted": planted(train, held, items),
        "edited": edited(held, items),
        "rate": rate(arguments.data, items, arguments.rows),
        "datatrove": beside_datatrove(train, items),
    }
    print(json.dumps(result, indent=1, ensure_ascii=False))


def planted(train: pl.DataFrame, held: pl.DataFrame, items: pl.DataFrame) -> dict[str, Any]:
    """Measures the share of planted rows that is caught."""
    draw = random.Random(0)
    alike = look_alikes(train, held)
    rows = train.join(alike, on="id", how="anti").select("id", text=pl.concat_str("question", "answer", separator="\n"))
    dropped = screen_rows(as_rows(rows), items, STANDARD_SCREENING, 1)
    base = rows.join(dropped, on="id", how="anti")
    texts = base.filter(pl.col("text").str.contains(CLAUSE_IN_RUST))["text"].to_list()
    exact = draw.sample(base["text"].to_list(), EXACT)
    near = [changed(text, i, draw) for i, text in enumerate(draw.sample(texts, NEAR))]
    leaks = [leak(text, i, texts, draw) for i, text in enumerate(draw.sample(items["text"].to_list(), LEAKS))]
    plants = {"exact": exact, "near": near, "leak": leaks, "alike": alike["question"].to_list()}
    planted_rows = [(f"{kind}:{i}", text) for kind, of_kind in plants.items() for i, text in enumerate(of_kind)]
    extra = pl.DataFrame(planted_rows, schema=["id", "text"], orient="row")
    found = screen_rows(as_rows(pl.concat([base, extra])), items, STANDARD_SCREENING, 1)
    text_of = dict(planted_rows)
    reasons = Counter(
        (row["id"].split(":")[0], row["reason"]) for row in found.iter_rows(named=True) if ":" in row["id"]
    )
    caught = {row["id"]: row for row in found.iter_rows(named=True)}
    return {
        kind: {
            "planted": len(of_kind),
            "caught": sum(f"{kind}:{i}" in caught for i in range(len(of_kind))),
            "reasons": {reason: count for (of, reason), count in sorted(reasons.items()) if of == kind},
            "odd": [
                (f"{kind}:{i}", text_of[f"{kind}:{i}"][:200], caught.get(f"{kind}:{i}", {}).get("against"))
                for i in range(len(of_kind))
                if (f"{kind}:{i}" in caught) == (kind == "alike")
            ],
        }
        for kind, of_kind in plants.items()
    } | {"clean_rows_dropped": sum(":" not in row["id"] for row in found.iter_rows(named=True)), "base": base.height}


def edited(held: pl.DataFrame, items: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Counts problems with a number, and those flagged as contaminated, after one edit and with another number."""
    draw = random.Random(0)
    plain = held.select("id", text=pl.col("question").str.replace_all(FIGURE, ""))
    texts = {row: text for row, text in plain.iter_rows() if NUMBER.search(text)}
    found: dict[str, tuple[int, int]] = {}
    for kind, change in (("one edit", one_edit), ("another number", another_number)):
        rows = pl.DataFrame({"id": list(texts), "text": [change(text, draw) for text in texts.values()]})
        dropped = screen_rows(as_rows(rows), items, STANDARD_SCREENING, 1).filter(reason="contaminated")
        found[kind] = (rows.height, dropped.filter(pl.col("id") == pl.col("against")).height)
    return found


def one_edit(text: str, draw: random.Random) -> str:
    """Edits a problem without changing it: other typesetting next to a number, or another word."""
    number = draw.choice(list(NUMBER.finditer(text)))[0]
    new = draw.choice((f"{number}.0", f"<b>{number}</b>", f"&nbsp;{number}&nbsp;", f"{number} [1]", ""))
    return (
        re.sub(rf"(?<![\d.,]){number}(?![\d.,]*\d)", new, text, count=1) if new else text.replace(" the ", " that ", 1)
    )


def another_number(text: str, draw: random.Random) -> str:
    """Makes another problem of the same words."""
    number = draw.choice(list(NUMBER.finditer(text)))
    return f"{text[: number.start()]}{int(number[0]) + draw.randint(1, 3)}{text[number.end() :]}"


def look_alikes(train: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Finds the training problems that share the most 8-grams with a held-out problem but have another answer."""
    mine, theirs = (
        pl.DataFrame({name: g.rows, "value": g.values}).unique()
        for name, g in (
            ("row", tokenize(train["question"]).words.of(8)),
            ("item", tokenize(held["question"]).words.of(8)),
        )
    )
    pairs = mine.join(theirs, on="value").group_by("row", "item").len()
    final = pl.col("answer").str.replace(r"(?s).*#### ", "").str.strip_chars()
    said, right = train.select(final).to_series(), held.select(final).to_series()
    pairs = pairs.with_columns(same=said.gather(pairs["row"]) == right.gather(pairs["item"]))
    other = pairs.group_by("row").agg(pl.col("same").any(), pl.col("len").max()).filter(~pl.col("same"))
    rows = other.sort("len", "row", descending=[True, False])["row"].head(ALIKE)
    return train[rows.to_list()]


def changed(text: str, i: int, draw: random.Random) -> str:
    """Makes a near duplicate: case, spacing, or one clause without numbers."""
    match i % 3:
        case 0:
            return text.upper() if i % 2 else text.title()
        case 1:
            return re.sub(r" ", lambda _: draw.choice((" ", "  ", "\n", "\t")), text).replace("=", " = ")
        case _:
            clause = draw.choice(list(CLAUSE.finditer(text)))
            return text[: clause.start()] + draw.choice(OTHER_CLAUSES) + text[clause.end() :]


def leak(item: str, i: int, texts: list[str], draw: random.Random) -> str:
    """Makes a leak of a held-out problem: verbatim, in other typesetting, or inside other text."""
    match i % 3:
        case 0:
            return item
        case 1:
            return reformatted(item)
        case _:
            return f"{draw.choice(texts)}\n\n{item if i % 2 else reformatted(item)}\n\n{draw.choice(texts)}"


def reformatted(text: str) -> str:
    """Typesets the problem as another tool would."""
    text = re.sub(r"\$([^$]+)\$", r"\\(\1\\)", text.replace("$$", "$"))
    for old, new in (
        (r"\\frac", r"\\dfrac"), (r"\\left|\\right", ""), (r"\\cdot(?![a-z])", r"\\times "), (r"\\leq?(?![a-z])", "≤"),
        (r"\\pi(?![a-z])", "π"), (r"\^\\circ|\^\{\\circ\}", "°"), (r"\^([0-9])(?![0-9])", r"^{\1}"),
        (r"\\text\{", r"\\mathrm{"), (r"([0-9]),([0-9]{3})(?![0-9])", r"\1{,}\2"), (r" *([=+<>]) *", r" \1 "),
        ("，", ", "), ("？", "?"),
    ):  # fmt: skip
        text = re.sub(old, new, text)
    return text


def rate(data: Path, items: pl.DataFrame, rows: int) -> dict[str, Any]:
    """Measures rows per second of the whole screen on rows of 2,000 characters, and peak memory of this process."""
    traces = pl.concat(
        pl.read_parquet(path)["completion"] for path in sorted((data / "cot").glob("rollouts_*.parquet"))
    )
    quarters = [text[i : i + 500] for text in traces.drop_nulls() for i in range(0, len(text) - 499, 500)]
    picks = np.random.default_rng(0).integers(0, len(quarters), (4, rows))
    parts = pl.Series(quarters)
    text = pl.select(pl.concat_str(*(parts.gather(pick) for pick in picks)).alias("text"))
    frame = text.select(id=pl.int_range(pl.len()).cast(pl.String), text="text", reasoning="text", language=pl.lit("en"))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = screen_rows(frame.lazy(), items, STANDARD_SCREENING, 1)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": rows,
        "characters": int(frame["text"].str.len_chars().sum()),
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "peak_mib": peak / 1024,
        "peak_before_mib": before / 1024,
        "dropped": dict(found["reason"].value_counts().iter_rows()),
    }


def beside_datatrove(train: pl.DataFrame, items: pl.DataFrame) -> dict[str, Any]:
    """Compares both tools on the questions of the training sets, with reformatted items planted among them."""
    leaked = items.with_columns(id=pl.lit("leak:") + pl.col("id"), text=pl.Series(map(reformatted, items["text"])))
    rows = pl.concat([train.select("id", text="question"), leaked])
    held = build_index(items, STANDARD_SCREENING.contamination)
    started = time.perf_counter()
    found = contaminated(rows["text"], tokenize(rows["text"]), held)
    ours_seconds = time.perf_counter() - started
    theirs, theirs_seconds = datatrove(rows, items)
    ours = {rows["id"][row]: item for row, item in found.select("row", "against").iter_rows()}
    pairs = pairs_sharing(tokenize(rows["text"]), held).join(held.items, on="item").sort("value")
    shares = {rows["id"][row]: (item, value) for row, item, value in pairs.select("row", "id", "value").iter_rows()}
    short = set(held.items.filter(pl.col("words").list.len() < STANDARD_SCREENING.contamination.window)["id"])
    only_ours = {
        row: "item below the window" if ours[row] in short else "typeset otherwise" for row in ours.keys() - theirs
    }
    only_theirs = {row: _cause(row, shares) for row in theirs.keys() - ours.keys()}
    return {
        "rows": rows.height,
        "items": items.height,
        "ours_seconds": ours_seconds,
        "datatrove_seconds": theirs_seconds,
        "times_its_rate": theirs_seconds / ours_seconds,
        "both": len(ours.keys() & theirs.keys()),
        "only_ours": {
            "causes": Counter(only_ours.values()),
            "rows": sorted((r, ours[r], c) for r, c in only_ours.items()),
        },
        "only_datatrove": {
            "causes": Counter(cause for cause, _ in only_theirs.values()),
            "rows": sorted((row, theirs[row], *cause) for row, cause in only_theirs.items()),
        },
        "leaks_missed": {
            "ours": sorted(set(leaked["id"]) - ours.keys()),
            "datatrove": sum(row not in theirs for row in leaked["id"]),
        },
    }


def _cause(row: str, shares: dict[str, tuple[str, float]]) -> tuple[str, Any]:
    if row not in shares:
        return "no n-gram in common in our form", None
    item, share = shares[row]
    if share < STANDARD_SCREENING.contamination.min_share:
        return "shares a phrase, not the problem", (item, round(share, 2))
    return "same wording, other words or numbers", (item, round(share, 2))


def datatrove(rows: pl.DataFrame, items: pl.DataFrame) -> tuple[dict[str, str], float]:
    """Returns the rows that datatrove's filter rejects, each with the shared n-gram, and the seconds it took."""
    from datatrove.data import Document
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.text import ngrams, simplify_text

    config = NGramsDecontConfig(n_grams=STANDARD_SCREENING.contamination.window, find_query_ngrams=True)
    judge = NGramsDecontFilter(index_folder=".", config=config)

    def hashes(text: str) -> Iterable[int]:
        words = judge.tokenizer.word_tokenize(simplify_text(text, config.norm_config))
        return map(judge.hash_func, map(" ".join, ngrams(words, config.n_grams)))

    judge._index_hashes = {gram: "held-out" for text in items["text"] for gram in hashes(text)}
    documents = [Document(text=text, id=row) for row, text in rows.iter_rows()]
    started = time.perf_counter()
    found = {d.id: d.metadata["contaminated_ngram"] for d in documents if judge.filter(d) is not True}
    return found, time.perf_counter() - started


if __name__ == "__main__":
    main()
