"""The work behind `r1 benchmarks`: what is known about each benchmark."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from r1_pipeline.evaluation.benchmarks import NamedBenchmark, has_data
from r1_pipeline.evaluation.paper import COLUMNS


def benchmark_facts(benchmark: NamedBenchmark, data: Path) -> dict[str, str]:
    """Returns what is known about a benchmark, in words."""
    row = benchmark.published
    pairs = zip(COLUMNS, row.scores, strict=True) if row else ()
    state = "ready" if has_data(benchmark, data) else f"needs {benchmark.lacks}" if benchmark.lacks else "no data here"
    sampled = f"{benchmark.samples} of at most {benchmark.max_tokens} tokens, temperature {benchmark.temperature}"
    return {
        "name": benchmark.name,
        "state": state,
        "about": f"{benchmark.title}: {benchmark.about}",
        "protocol": f"{sampled}, form {benchmark.form}, {benchmark.extract}",
        "judges": f"{benchmark.judge.protocol} by {', '.join(benchmark.judge.models)}" if benchmark.judge else "rules",
        "paper": ", ".join(f"{model} {score}" for model, score in pairs if score is not None),
        "note": benchmark.note,
        "licence": f"{benchmark.licence}; {benchmark.use}",
        "origin": benchmark.origin,
        "data": benchmark.obtain,
    }


def benchmark_table(facts: Sequence[dict[str, str]]) -> Table:
    """Returns one row for each benchmark."""
    table = Table("benchmark", "state", "about", "paper's R1")
    for each in facts:
        final = each["paper"].rpartition(f"{COLUMNS[-1]} ")[2] if each["paper"] else ""
        table.add_row(each["name"], each["state"], each["about"], final)
    return table
