"""The work behind `r1 rollouts`: the health of a run on the terminal, examples, and a run that is watched live."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.artifacts.tables import scan_tables
from r1_pipeline.errors import ArtifactError, WrongKindError
from r1_pipeline.evaluation.rollout_health import Example, Health, examples, health
from r1_pipeline.lineage.library import Library
from r1_pipeline.training.rollout_log import live_tables

if TYPE_CHECKING:
    import polars as pl

POLL = 1.0
"""Seconds between two looks at a run that is watched."""


def reinforced_model(library: Library, name: str) -> Checkpoint:
    """Returns the newest checkpoint `name`; raises `WrongKindError` for another kind of artifact."""
    model = library.find(name)
    if not isinstance(model, Checkpoint):
        raise WrongKindError(f"{model.name} is {model.kind}, not a model; name a checkpoint that was reinforced")
    return model


def health_table(found: Health) -> Table:
    """Returns one row for each period of the run."""
    parts = list(dict.fromkeys(part for period in found.periods for part in period.parts))
    head = ("step", "rollouts", "tokens", "cut off", "flat", "reward", *parts)
    head += ("no thinking", "repetition", "language", "entropy", "clipped", "gap")
    replaces = any(each.replaced is not None for each in found.periods)
    table = Table(*head, *(["replaced"] if replaces else []), box=None, header_style="bold")
    for each in found.periods:
        scores = [each.reward, *(each.parts.get(part) for part in parts)]
        table.add_row(
            str(each.step),
            f"{each.rollouts:,}",
            f"{each.tokens:.1f}",
            f"{each.truncated:.1%}",
            f"{each.flat:.1%}",
            *("–" if score is None else f"{score:.3f}" for score in scores),
            f"{each.empty_think:.1%}",
            f"{each.repetition:.3f}",
            f"{each.language:.3f}",
            *("–" if value is None else f"{value:.3f}" for value in (each.entropy, each.clipped, each.sampler_gap)),
            *([] if each.replaced is None else [f"{each.replaced:.1%}"]),
        )
    return table


def example_lines(rollouts: "pl.LazyFrame", kind: Example) -> Iterator[str]:
    """Yields the rollouts of this kind, with id, step, outcome, reward and text."""
    for row in examples(rollouts, kind).iter_rows(named=True):
        facts = f"step {row['step']}, {row['domain']}, {row['outcome'] or 'no verdict'}, reward {row['reward']}"
        yield f"[bold]{row['rollout_id']}[/] [dim]{facts}, {len(row['token_ids'])} tokens[/]"
        yield f"  {escape(row['text'])}"


def follow(home: Path, name: str) -> Iterator[str]:
    """Yields a line for every new step of a running reinforcement, until it ends; raises `ArtifactError` if none
    runs."""
    seen: set[str] = set()
    if not live_tables(home, name):
        raise ArtifactError(f"{name} is not being reinforced in {home}; leave out --follow to see a finished run")
    while tables := live_tables(home, name):
        new = [path for path in tables if path.name not in seen]
        seen |= {path.name for path in new}
        if new:
            for each in health(scan_tables(new)).periods:
                scores = "  ".join(f"{part} {score:.3f}" for part, score in each.parts.items() if score is not None)
                facts = f"{each.rollouts} rollouts  {each.tokens:.1f} tokens  flat {each.flat:.0%}"
                yield f"step {each.step}  {facts}  {scores}"
        time.sleep(POLL)
