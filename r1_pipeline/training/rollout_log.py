"""The rollout log keeps the rollouts of a policy, with rewards, verdicts and advantages, as tables next to its weights.

Every rank writes a file for each batch of rollouts, as training goes. A resumed run first removes the files of steps
that it will sample again, so that every rollout is kept exactly once. Not covered: what is read from the tables
(`lineage`, `evaluation`).
"""

import hashlib
import math
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.atomic_write import write_atomically, write_text_atomically
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.tables import read_table, write_shards, write_table
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import STORED, Completion, PartScore, Problem, Rollout, Verdict, sparse
from r1_pipeline.training.distributed import barrier, rank

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor
    from transformers import TrainerCallback
    from trl import GRPOTrainer

FOLDER = "rollouts"
"""The name of the folder of a run's scratch directory, and of the tables of a checkpoint."""
NAME = "asset"
"""The file in that folder with the name of the asset that is being made."""
HASHED = tuple(
    name for name in Rollout.model_fields if name not in ("rollout_id", "flat", "trained", "text", "token_ids")
)
"""The columns that a rollout's id covers in addition to its text and tokens, in order."""


PART = tuple(PartScore.model_fields)
"""The fields of the score of a part, in order."""
QUICK = "lz4"
"""The compression of files that training writes and `publish` reads once."""


class RolloutLog:
    """Collects what one rank knows about a batch of rollouts, and writes it."""

    def __init__(self, draft: Draft, template: TemplateName, share: float = 1.0, replaces: bool = False) -> None:
        """Writes to a folder of the draft's scratch; of all prompts, `share` are kept, each with its whole group.

        `replaces` is true for a run that replaces flat groups: its tables say which rollouts were trained on.
        """
        self._folder, self._name = draft.scratch / FOLDER, draft.name
        self._template, self._share = template, share
        self._prompts: Sequence[int] = ()
        self._problems: Sequence[Problem] = ()
        self._completions: Sequence[Completion] = ()
        self._verdicts: Sequence[Verdict | None] = ()
        self._parts: dict[str, Sequence[float | None]] = {}
        self._replaces = replaces
        self._rows: list[dict[str, Any]] = []

    def judged(self, verdicts: Sequence[Verdict | None]) -> None:
        """Takes the verdicts on the batch, in order; None for a general prompt."""
        self._verdicts = verdicts

    def rewarded(
        self,
        part: str,
        prompts: Sequence[int],
        problems: Sequence[Problem],
        completions: Sequence[Completion],
        scores: Sequence[float | None],
    ) -> None:
        """Takes the scores of one part of the reward; `prompts` are the numbers of the prompts in the run."""
        self._prompts, self._problems, self._completions = prompts, problems, completions
        self._parts[part] = scores

    def keep(
        self,
        step: int,
        weights: Mapping[str, float],
        advantages: Sequence[float],
        gaps: Sequence[float] | None,
    ) -> None:
        """Keeps the batch that was taken last: the policy had made `step` optimizer steps when it sampled it.

        `weights` are those of the parts at this step; `gaps` are the mean absolute differences between the
        log-probabilities under the sampler and under the policy, in nats per token, where the sampler reports them.
        """
        self._rows += [
            self._row(index, step, weights, advantages[index], gaps[index] if gaps else None)
            for index, prompt in enumerate(self._prompts)
            if _is_kept(prompt, self._completions[index].seed, self._share)
        ]
        self._parts, self._verdicts = {}, ()

    def leave_out(self, prompts: Iterable[int]) -> None:
        """Marks the rollouts of these prompts, among those that are not written yet, as not trained on."""
        left_out = set(prompts)
        for row in self._rows:
            row["trained"] = row["trained"] and row["prompt"] not in left_out

    def write(self) -> None:
        """Writes the batches that were kept since the last call, all of one step, to one file."""
        rows, self._rows = self._rows, []
        if rows:
            if not self._folder.exists():
                self._folder.mkdir(exist_ok=True)
                write_text_atomically(self._folder / NAME, self._name)
            frame = _frame(rows, rollout_schema(replaces=self._replaces))
            name = f"{rows[0]['step']:08d}.{rank():05d}.parquet"
            write_atomically(self._folder / name, partial(write_table, frame=frame, compression=QUICK))

    def _row(
        self, index: int, step: int, weights: Mapping[str, float], advantage: float, gap: float | None
    ) -> dict[str, Any]:
        completion, problem = self._completions[index], self._problems[index]
        parts = {name: scores[index] for name, scores in self._parts.items()}
        verdict = self._verdicts[index] if self._verdicts else None
        row = {
            "step": step,
            "prompt": self._prompts[index],
            "domain": problem.domain,
            "language": problem.language,
            "template": self._template,
            **{name: getattr(completion, name) for name in STORED},
            "outcome": verdict.outcome.value if verdict else None,
            "verifier": verdict.verifier if verdict else None,
            "detail": verdict.detail if verdict else None,
            "parts": [{"part": name, "score": score} for name, score in parts.items()],
            "reward": weighted_sum(parts, weights),
            "advantage": advantage,
            "sampler_gap": gap,
            "flat": False,  # until the whole group is at hand
            **({"trained": True} if self._replaces else {}),
        }
        return row | {"rollout_id": rollout_id(row)}

    def rewind(self, step: int) -> None:
        """Removes this rank's rollouts that were sampled after `step` optimizer steps or later."""
        for path in self._folder.glob(f"*.{rank():05d}.parquet*"):
            if int(path.name.partition(".")[0]) >= step:
                path.unlink()

    def publish(self, directory: Path) -> int:
        """Writes the rollouts of all ranks to the tables `rollouts-*.parquet` of `directory`, in order of step, prompt
        and sample; returns their number."""
        import polars as pl

        steps: dict[str, list[Path]] = {}
        for path in sorted(self._folder.glob("*.parquet")):
            steps.setdefault(path.name.partition(".")[0], []).append(path)
        frames = (pl.concat(list(map(read_table, paths))) for paths in steps.values())
        return write_shards(directory, FOLDER, map(_in_groups, frames))


def live_tables(home: Path, name: str) -> list[Path]:
    """Returns the files of the rollouts of `name` that a run in `home` has written so far, in order of step."""
    for asset in home.glob(f"scratch/*/{FOLDER}/{NAME}"):
        if asset.read_text(encoding="utf-8") == name:
            return sorted(asset.parent.glob("*.parquet"))
    return []


def rollout_schema(replaces: bool = False) -> "dict[str, pl.DataType | type[pl.DataType]]":
    """Returns the columns of a table of rollouts with their types; a run that replaces flat groups has one more."""
    import polars as pl

    kinds: dict[str, pl.DataType | type[pl.DataType]] = {
        **dict.fromkeys(("step", "prompt", "sample_index", "seed"), pl.Int64),
        **dict.fromkeys(("reward", "advantage", "sampler_gap"), pl.Float64),
        "token_ids": pl.List(pl.Int32),
        "parts": pl.List(pl.Struct({"part": pl.String, "score": pl.Float64})),
        **dict.fromkeys(("flat", "trained"), pl.Boolean),
    }
    absent = () if replaces else sparse(Rollout)
    return {name: kinds.get(name, pl.String) for name in Rollout.model_fields if name not in absent}


def _frame(rows: Sequence[Mapping[str, Any]], schema: "Mapping[str, Any]") -> "pl.DataFrame":
    """Returns rows as a table, column by column; lists go through Arrow, which takes a fraction of the time."""
    import polars as pl
    import pyarrow as pa

    columns = {name: [row[name] for row in rows] for name in schema}
    tokens, parts = columns.pop("token_ids"), columns.pop("parts")
    flat = list(chain.from_iterable(parts))
    scores = pa.array([each["score"] for each in flat], pa.float64())
    pairs = pa.StructArray.from_arrays([pa.array([each["part"] for each in flat], pa.string()), scores], PART)
    ids = pa.array(array("i", chain.from_iterable(tokens)), pa.int32())
    nested = {
        "token_ids": pl.from_arrow(pa.ListArray.from_arrays(_offsets(tokens), ids)),
        "parts": pl.from_arrow(pa.ListArray.from_arrays(_offsets(parts), pairs)),
    }
    return pl.DataFrame(columns | nested, schema_overrides=schema).select(list(schema))


def _offsets(lists: Sequence[Sequence[Any]]) -> Any:
    import pyarrow as pa

    return pa.array([0, *accumulate(map(len, lists))], pa.int32())


def rollout_id(row: Mapping[str, Any]) -> str:
    """Returns 16 hex digits of the hash over all columns but `flat` and `trained`, so that an edited row is found."""
    text = hashlib.sha256(row["text"].encode())
    text.update(
        struct.pack(f"<{len(row['token_ids'])}i", *row["token_ids"])
    )  # as JSON they would take most of the time
    return fingerprint([*(row[name] for name in HASHED), text.hexdigest()])[:16]


def weighted_sum(parts: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Returns the reward: the weighted sum over the parts that apply (paper, equation 4); None if none applies."""
    terms = [weights[name] * score for name, score in parts.items() if score is not None]
    return math.fsum(terms) if terms else None


def _is_kept(prompt: int, seed: int, share: float) -> bool:
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{prompt}".encode()).digest()[:8], "big")
    return drawn < share * 2**64


def _in_groups(step: "pl.DataFrame") -> "pl.DataFrame":
    """Sorts the rollouts of one step, and marks those of groups in which all rewards are equal."""
    import polars as pl

    equal = pl.col("reward").max().over("prompt") == pl.col("reward").min().over("prompt")
    return step.sort("prompt", "sample_index").with_columns(flat=equal.fill_null(value=True))


def recording(
    trainer: "type[GRPOTrainer]", log: RolloutLog | None, weights: Callable[[int], Mapping[str, float]]
) -> "type[GRPOTrainer]":
    """Returns the trainer with its rollouts kept in `log`; `weights` returns those of the parts at a step."""
    if log is None:
        return trainer
    kept = log

    class RecordingTrainer(trainer):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            step = self.state.global_step
            kept.keep(step, weights(step), _advantages(output), _gaps(output))
            return output

        def _prepare_inputs(self, batch: Any) -> Any:
            inputs = super()._prepare_inputs(batch)
            kept.write()
            return inputs

    return RecordingTrainer


def rewinding(log: RolloutLog) -> "TrainerCallback":
    """Returns a callback that removes, before training, the rollouts which a resumed run samples again."""
    from transformers import TrainerCallback

    class Rewinding(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            log.rewind(state.global_step)

        def on_train_end(self, *_: Any, **__: Any) -> None:
            barrier()  # the first rank publishes what all have written

    return Rewinding()


def _advantages(output: "Mapping[str, Tensor]") -> list[float]:
    """Returns the advantage of each rollout; if its tokens have their own, by a critic, their mean."""
    found = output["advantages"]
    if found.dim() == 2:
        found = (found * output["completion_mask"]).sum(1) / output["completion_mask"].sum(1).clamp(min=1)
    advantages: list[float] = found.tolist()
    return advantages


def _gaps(output: "Mapping[str, Tensor]") -> list[float] | None:
    """Returns for each rollout the mean absolute difference of log-probabilities; None without a sampler's."""
    if "sampling_per_token_logps" not in output or "old_per_token_logps" not in output:
        return None
    mask = output["completion_mask"]
    apart = (output["sampling_per_token_logps"] - output["old_per_token_logps"]).nan_to_num().abs() * mask
    gaps: list[float] = (apart.sum(1) / mask.sum(1).clamp(min=1)).tolist()
    return gaps
