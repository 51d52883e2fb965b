"""General replies at toy scale: all required words present, and the reply not padded until they are.

The reference is a comma-separated list. A required word matches whole words without regard to case; one in Chinese
characters matches anywhere. A reply of more than `max_words` words (`data.language_id`) is wrong whatever it says.
A problem without a reference has nothing to compare with: its replies are `unreferenced`, whatever they say.
For evaluation only: in training, general replies are scored by reward models (`preference`).
"""

import re

from r1_pipeline.data.language_id import count_words
from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.verifier import verdict


def present(word: str, text: str) -> bool:
    """Whether `text` has `word`, both in one case: as whole words, or anywhere where it is not ASCII."""
    if word.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text) is not None
    return word in text


class KeywordsVerifier:
    """See the module."""

    name = "keywords"

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self.version = f"3+max_words-{max_words}"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply."""
        if problem.answer is None:
            return verdict(self, Outcome.UNREFERENCED, "no reference to compare with", final)
        required = [word.strip().casefold() for word in re.split("[,，]", problem.answer or "") if word.strip()]
        if not required:
            return verdict(self, Outcome.UNGRADABLE, "the problem has no required words")
        length = sum(count_words(final).values())
        if length > self.max_words:
            return verdict(self, Outcome.WRONG, f"{length} words, more than {self.max_words}", final)
        missing = [word for word in required if not present(word, final.casefold())]
        if missing:
            return verdict(self, Outcome.WRONG, f"missing: {', '.join(missing)}", final)
        return verdict(self, Outcome.CORRECT, "all required words present", final)

    def close(self) -> None:
        """Nothing to give back."""
