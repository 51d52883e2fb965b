"""Adds a second benchmark, which is planned, scheduled, evaluated for every checkpoint and reported.

    r1 run --profile smoke --recipe examples/benchmark.py

Its problems are kept out of the corpus.
"""

from pathlib import Path

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.extended import file_source, with_benchmark

FILE = Path(__file__).with_name("benchmark.jsonl")


def extend(profile: Profile) -> Profile:
    """Adds the benchmark `word_sums`: at most 4 problems, two completions of each."""
    source = file_source("word_sums", FILE, "question_answer", "Apache-2.0", "written for this example", "heldout")
    return with_benchmark(profile, "word_sums", source, FILE.parent, problems=4, samples=2)
