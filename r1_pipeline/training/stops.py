"""Stop strings in rollouts: a completion ends with the token that completes one, and counts as ended.

TRL knows end tokens alone: it would train on the padding behind a stop string, count the completion as cut off, and an
objective that masks what was cut off would mask it. Not covered: which strings there are (`data.templates`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from r1_pipeline.data.templates import FORMS, TemplateName, first_stop
from r1_pipeline.generation.stopping import stop_criteria, up_to_stop
from r1_pipeline.records import FinishReason
from r1_pipeline.rewards.format_check import whole_reply

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOTrainer


@dataclass(frozen=True)
class Judged:
    """Turns what TRL hands over into what is judged."""

    template: TemplateName
    stops: tuple[str, ...]
    ends: frozenset[int]
    """End tokens."""

    def text(self, prompt: str, sampled: str) -> str:
        """Returns the whole reply, with `<think>` where the prompt has opened it."""
        return whole_reply(prompt, FORMS[self.template].ended(sampled, self.stops))

    def finish(self, sampled: str, ids: Sequence[int]) -> FinishReason:
        """Returns the reason why the completion ended; a stop string ends it like an end token."""
        return "stop" if ids[-1] in self.ends or first_stop(sampled, self.stops) else "length"


def stopping(
    trainer: "type[GRPOTrainer]", tokenizer: "PreTrainedTokenizerBase", stops: Sequence[str]
) -> "type[GRPOTrainer]":
    """Returns the trainer with completions that end at these strings.

    The model is to be given `stopping_generate`; vLLM has the strings from TRL's `generation_kwargs`.
    """
    import torch

    if not stops:
        return trainer

    class StoppingTrainer(trainer):  # type: ignore[misc]
        mask_truncated_completions: bool
        cut_off_B: torch.Tensor

        def _generate_single_turn(self, *arguments: Any, **options: Any) -> Any:
            completions, logprobs = super()._generate_single_turn(*arguments, **options)
            kept = [up_to_stop(tokenizer, ids, stops) or ids for ids in completions]
            if logprobs is not None:
                logprobs = [row[: len(ids)] for row, ids in zip(logprobs, kept, strict=True)]
            return kept, logprobs

        def _generate(self, prompts: list[Any]) -> Any:
            made = super()._generate(prompts)
            ends = frozenset(self.eos_token_ids)
            self.cut_off_B = torch.tensor(
                [
                    ids[-1] not in ends and not first_stop(text, stops)
                    for ids, text in zip(made[1], made[3], strict=True)
                ],
                device=self.accelerator.device,
            )
            shares = self._metrics["train" if self.model.training else "eval"]["completions/clipped_ratio"]
            shares[-1] = self.accelerator.gather(self.cut_off_B).float().mean().item()
            return made

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            masks, self.mask_truncated_completions = self.mask_truncated_completions, False
            try:
                output = super()._generate_and_score_completions(inputs)
            finally:
                self.mask_truncated_completions = masks
            if masks:
                output["completion_mask"] = output["completion_mask"] * (~self.cut_off_B).unsqueeze(1).int()
                output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()
            return output

    return StoppingTrainer


def stopping_generate(
    generate: Callable[..., Any], tokenizer: "PreTrainedTokenizerBase", stops: Sequence[str]
) -> Callable[..., Any]:
    """Returns a model's `generate`, to which TRL hands no tokenizer, with completions that end at these strings."""

    def stopping(**inputs: Any) -> Any:
        criteria = stop_criteria(tokenizer, stops, inputs["input_ids"].shape[1])
        return generate(**inputs, stopping_criteria=criteria)

    return stopping if stops else generate
