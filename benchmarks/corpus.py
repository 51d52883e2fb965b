"""Measures the corpus at full size: time, memory and growth from source files to an audited artifact.

    python benchmarks/corpus.py DATA HOME [--rows 100000 200000 400000 800000] [--long 50000] [--plot FILE.png]

DATA holds the public data sets named below; HOME is an empty folder with some 20 GB free. It prints JSON. Every size
runs in a process of its own, so that peak memory is measured per size; making the source files is not measured.

Rows are questions of public data sets with changed numbers and four replies each, assembled from pieces of real
reasoning traces. 1% of the rows are exact duplicates, 1% near duplicates, and 0.1% contain a question of a held-out
set. Domains have the shares of the paper's corpus. Ingest reads JSON lines by a mapping and writes one artifact per
domain, two domains at a time as in the graph. Merge screens, shuffles and writes; then follow statistics, card and
digests. Peak memory is that of the merge, or of two ingesting workers if that is more. Finally, damage is planted in
the artifacts, and the audit must find it.
"""

import argparse
import json
import math
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, Corpus, ProblemSet
from r1_pipeline.artifacts.manifest import MANIFEST, sealed
from r1_pipeline.artifacts.store import BuildResult, Spec, Store
from r1_pipeline.artifacts.tables import frame_of, read_table, schema_of, write_records, write_shards, write_table
from r1_pipeline.data.corpus import SAMPLES, corpus_statistics
from r1_pipeline.data.ingest.files import Row, read_rows
from r1_pipeline.data.ingest.mapping import ProblemMapping
from r1_pipeline.data.merge import MergeRecipe
from r1_pipeline.data.samples import sample_id
from r1_pipeline.data.screening.rows import STANDARD_SCREENING
from r1_pipeline.data.templates import summarize
from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.evaluation.paper import CORPUS
from r1_pipeline.lineage.audit import audit
from r1_pipeline.lineage.cards import write_data_card
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Domain, Problem, Sample
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.verbs import merge

A = TypeVar("A", bound=Artifact)
T = TypeVar("T")
QUESTIONS: dict[Domain, dict[str, str]] = {
    "math": {"math/simplerl_level3to5_train.parquet": "question", "gsm8k/gsm8k_train.parquet": "question"},
    "code": {"code/mbpp.parquet": "text"},
    "stem": {"stem/mmlu_stem_dev_val.parquet": "question"},
    "logic": {"stem/aqua_test.parquet": "question"},
    "general": {"zh/alpaca_en_demo.parquet": "instruction", "zh/alpaca_zh_demo.parquet": "instruction"},
}
HELD_OUT = {
    "math/math500_test.parquet": "problem",
    "gsm8k/gsm8k_test.parquet": "question",
    "competition/aime24_qwq.parquet": "prompt",
}
LANES = 2
REPLIES = 4
"""Replies to one question."""
BATCH = 4096
VERIFIERS = {"math": "maths@1", "code": "code@1", "stem": "choice@1", "logic": "choice@1", "general": "keywords@1"}
TESTS = {"kind": "stdin", "each": "[answer]", "function": "", "given": "", "expected": "{{ case }}", "limit_s": 5}
"""The tests of a code problem: its program must print the answer."""
MAPPING = {"makes": "problem", "language": "en", "question": "{{ question }}", "answer": "{{ answer }}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("home", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 200_000, 400_000, 800_000])
    parser.add_argument("--long", type=int, default=50_000, help="rows of 16,000 characters")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--step", choices=["make", "build"], help="one step of one size; for this script itself")
    parser.add_argument("--characters", type=int, default=2000, help="of a row; for this script itself")
    arguments = parser.parse_args()
    if arguments.step == "make":
        make_sources(arguments.data, arguments.home, arguments.rows[0], arguments.characters)
    elif arguments.step == "build":
        print(json.dumps(build(arguments.data, arguments.home)))
    else:
        print(json.dumps(measure(arguments), indent=1))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures every size and returns all figures."""
    sizes = [(rows, 2000) for rows in arguments.rows] + ([(arguments.long, 16_000)] if arguments.long else [])
    found: list[dict[str, Any]] = []
    for rows, characters in sizes:
        home = arguments.home / f"{rows}x{characters}"
        step = [
            sys.executable,
            __file__,
            str(arguments.data),
            str(home),
            "--rows",
            str(rows),
            "--characters",
            str(characters),
        ]
        subprocess.run([*step, "--step", "make"], check=True)
        built = json.loads(subprocess.run([*step, "--step", "build"], check=True, capture_output=True).stdout)
        found.append({"rows": rows, "characters": characters, **built, **ask(home)})
        print(json.dumps(found[-1]), file=sys.stderr)
        if rows != min(arguments.rows):
            shutil.rmtree(home)
    grown = [one for one in found if one["characters"] == 2000]
    result = {"sizes": found, "exponent": exponent(grown) if len(grown) > 1 else None}
    if arguments.plot:
        plot(grown, arguments.plot)
    return result | {"planted": planted(arguments.home / f"{min(arguments.rows)}x2000")}


def make_sources(data: Path, home: Path, rows: int, characters: int) -> None:
    """Writes one JSON lines file per domain, with question, answer and response."""
    draw = random.Random(rows)
    traces = [
        text
        for path in sorted((data / "cot").glob("rollouts_*.parquet"))
        for text in pl.read_parquet(path)["completion"].drop_nulls()
    ]
    size = characters // 4 - 35
    pieces = [text[i : i + size] for text in traces for i in range(0, len(text) - size, size)]
    pieces = [piece for piece in pieces if "```" not in piece and "think>" not in piece]
    heldout = [question for file, column in HELD_OUT.items() for question in pl.read_parquet(data / file)[column]]
    total = sum(row.samples for row in CORPUS)
    (home / "sources").mkdir(parents=True)
    for domain, files in QUESTIONS.items():
        asked = [text for file, column in files.items() for text in pl.read_parquet(data / file)[column].drop_nulls()]
        count = round(rows * next(row.samples for row in CORPUS if row.domain == domain) / total)
        with (home / "sources" / f"{domain}.jsonl").open("w", encoding="utf-8") as file:
            for row in _source_rows(domain, asked, pieces, heldout, count, draw):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _source_rows(
    domain: Domain, asked: list[str], pieces: list[str], heldout: list[str], count: int, draw: random.Random
) -> Iterator[dict[str, str]]:
    last = {"question": "", "answer": "", "response": ""}
    for number in range(count):
        if number % REPLIES == 0:
            question = re.sub(r"\d+", lambda _: str(draw.randrange(2, 1000)), draw.choice(asked)).strip()
            question = f"{question} ({domain} {number // REPLIES})"
            answer = "A" if domain in ("stem", "logic") else str(draw.randrange(10_000))
        thought = " ".join(draw.choices(pieces, k=4))
        chance = draw.random()
        if chance < 0.01 and number % REPLIES:
            yield last
            continue
        if chance < 0.02 and number % REPLIES:
            yield last | {"response": last["response"].replace("the ", "THE  ").replace(" so ", " thus ")}
            continue
        if chance < 0.021:
            thought = f"{thought[: len(thought) // 2]}\n\n{draw.choice(heldout)}\n\n{thought[len(thought) // 2 :]}"
        last = {"question": question, "answer": answer, "response": f"<think>{thought}</think>{_final(domain, answer)}"}
        yield last


def _final(domain: Domain, answer: str) -> str:
    return answer if domain == "general" else summarize(domain, f"print({answer})" if domain == "code" else answer)


def build(data: Path, home: Path) -> dict[str, Any]:
    """Builds the merged corpus from source files; returns seconds of each part and the peak memory of this process."""
    started = time.perf_counter()
    store = Store(home)
    heldout = _made(store, ProblemSet, "heldout_problems", "curate", {}, lambda draft: _heldout(data, draft))
    with ProcessPoolExecutor(LANES, get_context("spawn")) as lanes:
        parts = dict(zip(map(str, QUESTIONS), lanes.map(partial(ingest, home), QUESTIONS), strict=True))
    ingested = time.perf_counter()
    at = BuildContext(store, Runtime(threads=2), "sft_corpus")
    corpus = merge(at, parts, heldout, MergeRecipe(seed=0, screening=STANDARD_SCREENING, rows={}))
    ended = time.perf_counter()
    screened, copied, written = (row["time"] for row in corpus.metrics())
    committed = corpus.manifest.provenance.seconds
    used, lane = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": {
            "ingest": ingested - started,
            "screen": screened - (written - _until(corpus, written)),
            "copy": copied - screened,
            "write": written - copied,
            "statistics, card, digests": ended - ingested - _until(corpus, written),
        },
        "total_seconds": ended - started,
        "merge_seconds": committed,
        "cpu_seconds": sum(whose.ru_utime + whose.ru_stime for whose in (used, lane)),
        "peak_mib": max(used.ru_maxrss, LANES * lane.ru_maxrss) / 1024,
        "peak_mib_of_a_lane": lane.ru_maxrss / 1024,
        "kept": corpus.statistics["rows"],
        "dropped": corpus.manifest.drops,
        "shards": len(corpus.tables()),
        "mib_on_disk": sum(file.bytes for file in corpus.manifest.files) / 2**20,
        "mean_characters": corpus.scan()
        .select(pl.sum_horizontal(pl.col("question", "response").str.len_chars()).mean())
        .collect()
        .item(),
    }


def _until(corpus: Corpus, moment: float) -> float:
    """Returns the seconds from the start of the merge to `moment`."""
    from datetime import datetime

    return moment - datetime.fromisoformat(corpus.manifest.provenance.started).timestamp()


def _heldout(data: Path, draft: Draft) -> BuildResult:
    questions = [text.strip() for file, column in HELD_OUT.items() for text in pl.read_parquet(data / file)[column]]
    problems = [_problem(question, "1", "math", "heldout:1#x") for question in dict.fromkeys(questions)]
    write_records(draft.path / "problems.parquet", problems, Problem)
    return BuildResult({"rows": len(problems), "by_domain": {"math": len(problems)}})


def _problem(question: str, answer: str, domain: Domain, source: str) -> Problem:
    return Problem(
        id=problem_id(question, answer, (), domain), question=question, answer=answer, tests=(), domain=domain,
        language="en", source=source, licence="MIT",
    )  # fmt: skip


def ingest(home: Path, domain: Domain) -> Corpus:
    """Ingests a domain's source file as a problem set and a part of the corpus."""
    store, file = Store(home), home / "sources" / f"{domain}.jsonl"

    def problems(draft: Draft) -> BuildResult:
        frames = (frame_of(batch, Problem) for batch in _batches(_problems(file, domain)))
        rows = write_shards(draft.path, "problems", frames)
        return BuildResult({"rows": rows, "by_domain": {domain: rows}})

    def traces(draft: Draft) -> BuildResult:
        schema = schema_of(Sample)
        write_shards(draft.path, SAMPLES, (pl.DataFrame(batch, schema) for batch in _batches(_samples(file, domain))))
        return BuildResult(corpus_statistics(draft.path))

    asked = _made(store, ProblemSet, f"problems/{domain}", "curate", {}, problems)
    return _made(store, Corpus, f"reasoning_traces/{domain}", "rejection_sample", {"problems": asked}, traces)


def _made(
    store: Store,
    kind: type[A],
    name: str,
    stage: str,
    inputs: dict[str, Artifact],
    make: Callable[[Draft], BuildResult],
) -> A:
    spec = Spec(name, stage, 1, Recipe(), inputs)

    def described(draft: Draft) -> BuildResult:
        facts = make(draft)
        write_data_card(draft.path, kind, spec, facts)
        return facts

    return store.build(kind, spec, described)


def _read(file: Path, domain: Domain) -> Iterator[tuple[Problem, str]]:
    tests = {"tests": TESTS} if domain == "code" else {}
    mapping = ProblemMapping.model_validate(MAPPING | {"domain": domain} | tests)
    for row in read_rows(file):
        assert isinstance(row, Row)
        yield mapping.record(row.columns, f"bench/{file.name}:{row.line}", "MIT"), row.columns["response"]


def _problems(file: Path, domain: Domain) -> Iterator[Problem]:
    seen: set[str] = set()
    for problem, _ in _read(file, domain):
        if problem.id not in seen:
            seen.add(problem.id)
            yield problem


def _samples(file: Path, domain: Domain) -> Iterator[dict[str, Any]]:
    for number, (problem, response) in enumerate(_read(file, domain)):
        row = {
            "problem_id": problem.id, "domain": domain, "language": "en", "source": problem.source, "licence": "MIT",
            "question": problem.question, "response": response, "generator": "0" * 64, "engine": "bench",
            "temperature": 1.0, "top_p": 1.0, "max_tokens": 32768, "seed": 7, "sample_index": number % REPLIES,
            "outcome": "correct", "verifier": VERIFIERS[domain], "tokens": len(response) // 4, "language_share": 1.0,
        }  # fmt: skip
        yield {"sample_id": sample_id(row), **row}


def _batches(rows: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def ask(home: Path) -> dict[str, Any]:
    """Times `r1 trace` for a row in the middle and `r1 audit`, in seconds, each in a process of its own."""
    row = Library.of(home).find("sft_corpus").scan().select("sample_id").collect()["sample_id"]
    return {
        "trace_seconds": _seconds("trace", row[len(row) // 2], "--home", str(home)),
        "audit_seconds": _seconds("audit", "sft_corpus", "--home", str(home)),
    }


def _seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from dagster_defs.cli import main; main()", *command], check=True, capture_output=True
    )
    return time.perf_counter() - started


def planted(home: Path) -> dict[str, list[str]]:
    """Damages `sft_corpus` in one way after another and returns the audit's findings for each."""
    found = {"nothing": _findings(home)}
    corpus = Library.of(home).find("sft_corpus")
    shard = corpus.tables()[0]
    for entry in (corpus.path / file.path for file in corpus.manifest.files):
        whole = entry.read_bytes()
        entry.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        found[f"one byte of {entry.name}"] = _findings(home)
        entry.write_bytes(whole)
    whole, manifest = shard.read_bytes(), (corpus.path / MANIFEST).read_bytes()
    table = read_table(shard)
    edited = table.with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("4")).otherwise("response").alias("response")
    )
    write_table(shard, edited)
    found["one edited row"] = _findings(home)
    shard.unlink()
    found["a missing shard"] = _findings(home)
    shard.write_bytes(whole)
    said = corpus.manifest
    forged = sealed(said.model_copy(update={"statistics": {**said.statistics, "rows": said.statistics["rows"] + 1}}))
    (corpus.path / MANIFEST).write_text(forged.model_dump_json(indent=1) + "\n", encoding="utf-8")
    found["a forged manifest"] = _findings(home)
    (corpus.path / MANIFEST).write_bytes(manifest)
    return found


def _findings(home: Path) -> list[str]:
    library = Library.of(home)
    try:
        artifacts = [library.find("sft_corpus")]
    except ValueError as error:
        return [str(error)]
    findings = audit(library, artifacts, full=False, runtime=Runtime(threads=2)).findings
    return [f"{one.where}: {one.what}"[:160] for one in findings][:4]


def exponent(sizes: list[dict[str, Any]]) -> float:
    """Fits the power of the row count with which time grows, by least squares."""
    points = [(math.log(one["rows"]), math.log(one["total_seconds"])) for one in sizes]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def plot(sizes: list[dict[str, Any]], path: Path) -> None:
    """Plots time and memory over rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    rows = [one["rows"] / 1000 for one in sizes]
    below = [0.0] * len(rows)
    for part in sizes[0]["seconds"]:
        above = [base + one["seconds"][part] for base, one in zip(below, sizes, strict=True)]
        left.fill_between(rows, below, above, label=part, alpha=0.75)
        below = above
    left.plot(rows, [360 * count / 800 for count in rows], "k--", linewidth=1, label="bar: 6 min at 800k")
    left.set(xlabel="thousand rows", ylabel="seconds", ylim=0)
    left.legend(fontsize=8, loc="upper left")
    right.plot(rows, [one["peak_mib"] / 1024 for one in sizes], "o-")
    right.axhline(5, color="k", linestyle="--", linewidth=1)
    right.set(xlabel="thousand rows", ylabel="peak memory, GiB", ylim=0)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
