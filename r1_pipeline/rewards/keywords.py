"""This module grades general replies of the toy world: all required words are present, and the reply is not padded.

The reference is a comma-separated list. A required word matches whole words in any case; a word of Chinese characters
matches anywhere. A reply of more than `max_words` words (`data.language_id`) is always wrong. Replies to a problem
without a reference are always `unreferenced`. This verifier serves evaluation only: in training, reward models score
general replies (`preference`).
"""

import re

from r1_pipeline.data.language_id import count_words
from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.verifier import verdict


def present(word: str, text: str) -> bool:
    """Returns True if `text` has `word` as a whole word, or anywhere if it is not ASCII; both are in one case."""
    if word.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text) is not None
    return word in text


class KeywordsVerifier:
    """Grades replies by their required words; see the module's docstring for the rules."""

    name = "keywords"

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        self.version = f"3+max_words-{max_words}"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Judges the final part of a reply."""
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
        """Does nothing: this verifier holds no resources."""
