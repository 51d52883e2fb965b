"""Stop strings: a completion ends with the token that completes one of them.

    stop_criteria     for transformers' `generate`
    up_to_stop        for the tokens that come out of an engine: behind a stop string there is padding, or text where an
                      engine's own tokenizer reads tokens otherwise

Which strings there are is the prompt form's business, whether they count the recipe's, and what of them stays in a text
is decided where the text is kept (`data.templates`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.data.templates import first_stop

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase, StoppingCriteriaList


def stop_criteria(tokenizer: "PreTrainedTokenizerBase", stops: Sequence[str], start: int) -> "StoppingCriteriaList":
    """Returns criteria that end a completion at these strings; completions begin at token `start` of every row, so that
    no stop string begins in a prompt."""
    from transformers import StoppingCriteria, StoppingCriteriaList, StopStringCriteria

    class InCompletion(StoppingCriteria):  # type: ignore[misc]
        def __init__(self) -> None:
            self.complete = StopStringCriteria(tokenizer, list(stops))

        def __call__(self, input_ids: "Tensor", scores: "Tensor", **_: Any) -> Any:
            return self.complete(input_ids[:, start:], scores)

    return StoppingCriteriaList([InCompletion()] if stops else [])


def up_to_stop(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], stops: Sequence[str]) -> list[int] | None:
    """Returns the fewest of the first tokens whose text holds a stop string; None where the whole text holds none."""

    def stopped(length: int) -> bool:
        return first_stop(tokenizer.decode(ids[:length], skip_special_tokens=True), stops) is not None

    if not stops or not stopped(len(ids)):
        return None
    return list(ids[: bisect_left(range(len(ids)), True, key=stopped)])
