"""Dynamic sampling replaces flat groups of a rollout before the steps that would train on them (DAPO, 2503.14476).

A group is flat if all its rewards are equal: it has no gradient. TRL has no such thing; the subclass here lets TRL
sample and score groups for further prompts, and puts their rows in the places of the flat ones. The prompt that
replaces another is fixed by its place and the attempt, not by what was sampled before, so that a resumed run is the
run that was never interrupted. Not covered: the order of prompts (`data.prompt_schedule`).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.training.rollout_log import RolloutLog
from r1_pipeline.training.scored import scored

if TYPE_CHECKING:
    from torch import Tensor
    from trl import GRPOTrainer

SAMPLED = "dynamic_sampling/sampled"
"""The metric of the number of completions of a rollout, replaced ones included."""
REPLACED = "dynamic_sampling/replaced"
"""The metric of the number of groups that were sampled for a rollout and not trained on."""


def require_whole_groups(rollout: int, group_size: int, ranks: int, times: int) -> None:
    """Raises `RecipeError` if groups may be replaced, and the ranks cannot share a rollout of that many completions in
    whole groups."""
    if times and rollout // group_size % ranks:
        raise RecipeError(
            f"{ranks} ranks cannot share the {rollout // group_size} groups of a rollout equally, so no rank could "
            "replace a flat one; start another number of ranks, or set resample to 0"
        )


@dataclass(frozen=True)
class Sampled:
    """Groups of completions that TRL has sampled and scored on this rank."""

    batch: dict[str, Any]
    flat: list[bool]
    """Flatness of each group, in order."""
    lengths: list[int]
    """Tokens of each row, prompt included."""


class Replacing:
    """The rollout of a rank while its flat groups are replaced."""

    def __init__(self, places: list[int], sampled: Sampled, size: int, pad: int) -> None:
        """Begins with the groups of the prompts with the numbers `places`, of `size` completions each."""
        self.places, self.batch, self.flat = places, sampled.batch, sampled.flat
        self.left_out: list[int] = []
        """Numbers of the prompts whose groups are not trained on."""
        self.unused = 0
        """Tokens of those groups, prompts included."""
        self._asked, self._lengths, self._size, self._pad = list(places), sampled.lengths, size, pad

    def chosen(self, most: int) -> list[int]:
        """Returns the flat groups, and as many others behind them as are missing to the most that any rank has.

        All ranks must sample the same number of groups; what is sampled for those others is not trained on."""
        alike = [group for group, flat in enumerate(self.flat) if flat]
        return alike + [group for group, flat in enumerate(self.flat) if not flat][: most - len(alike)]

    def take(self, groups: Sequence[int], numbers: Sequence[int], sampled: Sampled) -> None:
        """Puts the groups sampled for the prompts `numbers` in the places of those of `groups` that are flat."""
        size = self._size
        for source, (group, number) in enumerate(zip(groups, numbers, strict=True)):
            old, new = slice(group * size, (group + 1) * size), slice(source * size, (source + 1) * size)
            if not self.flat[group]:
                self.left_out.append(number)
                self.unused += sum(sampled.lengths[new])
                continue
            put_rows(self.batch, group * size, sampled.batch, source * size, size, self._pad)
            self.left_out.append(self._asked[group])
            self.unused += sum(self._lengths[old])
            self._asked[group], self._lengths[old] = number, sampled.lengths[new]
            self.flat[group] = sampled.flat[source]


_Calls = list[tuple[int, Mapping[str, list[float]]]]
"""Calls of TRL, each with its number of completions and its metrics."""


def resampling(
    trainer: "type[GRPOTrainer]", prompts: Sequence[str], places: int, times: int, log: RolloutLog | None
) -> "type[GRPOTrainer]":
    """Returns the trainer with flat groups replaced up to `times` times.

    `prompts` has the prompts of all `places` of the run, then as many lists of that length as there are times: those
    that replace a flat group at the same place. Rollouts of groups that are not trained on are marked in `log`.
    """
    if not times:
        return trainer
    import torch

    class ResamplingTrainer(_noting(trainer)):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            size, calls = self.num_generations, _Calls()
            own = [row["row"] for row in inputs][::size]
            rollout = Replacing(own, self._sampled(inputs, calls), size, self._tokenizer.pad_token_id)
            for attempt in range(1, times + 1):
                most = self._gathered([sum(rollout.flat)]).max().item()
                if not most:
                    break
                groups = rollout.chosen(most)
                numbers = [own[group] + attempt * places for group in groups]
                rows = [{"prompt": prompts[number], "row": number} for number in numbers for _ in range(size)]
                rollout.take(groups, numbers, self._sampled(rows, calls))
            if log is not None:
                log.leave_out(rollout.left_out)
            self._count(calls, rollout)
            rollout.batch["num_items_in_batch"] = self.accelerator.gather(rollout.batch["completion_mask"].sum()).sum()
            return rollout.batch

        def _sampled(self, inputs: Any, calls: _Calls) -> Sampled:
            before, self._metrics["train"] = self._metrics["train"], defaultdict(list)
            try:
                batch = super()._generate_and_score_completions(inputs)
            finally:
                said, self._metrics["train"] = self._metrics["train"], before
            calls.append((len(inputs) * self.accelerator.num_processes, said))
            start = self.accelerator.process_index * len(inputs)
            groups = self.rewards_N[start : start + len(inputs)].view(-1, self.num_generations).tolist()
            return Sampled(batch, [is_flat(group) for group in groups], self.lengths)

        def _count(self, calls: _Calls, rollout: Replacing) -> None:
            """Logs the metrics of all completions, and counts as trained on only the tokens that are."""
            counts = [rollout.unused, len(rollout.left_out), sum(rollout.flat), len(rollout.flat)]
            unused, replaced, flat, groups = self._gathered(counts).view(-1, len(counts)).sum(dim=0).tolist()
            metrics = self._metrics["train"]
            for name, value in weighted_means(calls).items():
                metrics[name].append(value)
            self.state.num_input_tokens_seen -= unused
            metrics["num_tokens"] = [self.state.num_input_tokens_seen]
            metrics["frac_reward_zero_std"] = [flat / groups]
            metrics[SAMPLED].append(sum(count for count, _ in calls))
            metrics[REPLACED].append(replaced)

        def _gathered(self, counts: list[int]) -> Any:
            return self.accelerator.gather(torch.tensor(counts, device=self.accelerator.device))

    return ResamplingTrainer


def _noting(trainer: "type[GRPOTrainer]") -> "type[GRPOTrainer]":
    """Returns the trainer, which keeps the rewards, and the lengths of the rows that it sampled last on this rank."""

    class NotingTrainer(scored(trainer)):  # type: ignore[misc]
        lengths: list[int]

        def _generate(self, asked: list[Any]) -> Any:
            made = super()._generate(asked)
            self.lengths = [len(prompt) + len(reply) for prompt, reply in zip(made[0], made[1], strict=True)]
            return made

    return NotingTrainer


def is_flat(rewards: Sequence[float]) -> bool:
    """Returns true if all rewards are equal, or none is a number; those that are not numbers do not count."""
    known = [reward for reward in rewards if not math.isnan(reward)]
    return not known or max(known) == min(known)


def weighted_means(calls: _Calls) -> dict[str, float]:
    """Returns the mean of each metric over several calls, each with its number of completions; NaN does not count."""
    found: dict[str, list[tuple[int, float]]] = {}
    for count, metrics in calls:
        for name, values in metrics.items():
            found.setdefault(name, []).extend((count, value) for value in values if not math.isnan(value))
    return {
        name: sum(count * value for count, value in pairs) / sum(count for count, _ in pairs)
        for name, pairs in found.items()
        if pairs
    }


def put_rows(batch: dict[str, Any], at: int, other: Mapping[str, Any], start: int, count: int, pad: int) -> None:
    """Puts `count` rows of another batch, from row `start` on, into `batch` at row `at`; both are padded to one width.

    Prompts are padded on the left, completions on the right.
    """
    import torch

    for name, value in batch.items():
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            continue
        mine, theirs = value, other[name][start : start + count]
        if value.ndim == 2:
            width = max(mine.size(1), theirs.size(1))
            mine, theirs = (_padded(name, each, width, pad) for each in (mine, theirs))
        batch[name] = torch.cat([mine[:at], theirs, mine[at + count :]])


def _padded(name: str, rows: "Tensor", width: int, pad: int) -> "Tensor":
    from torch.nn.functional import pad as padded

    missing = width - rows.size(1)
    fill = pad if name.endswith("_ids") else 1 if name == "importance_sampling_ratio" else 0
    return padded(rows, (missing, 0) if name.startswith("prompt_") else (0, missing), value=fill)
