"""This module measures language consistency: the share of words in the target language (paper, equation 7).

`data.language_id` counts the words. A text without words is consistent with every language: 1.0. English and Chinese
need regular expressions only, at 2 to 5 MB/s; a language that shares its script with another one needs an
identification of every sentence, at 0.3 MB/s.
"""

from r1_pipeline.data.language_id import rule, words_in
from r1_pipeline.records import Language


def language_share(text: str, language: Language) -> float:
    """Returns the share of words in the target language (paper, equation 7); 1.0 for a text without words."""
    own, total = words_in(text, language)
    return own / total if total else 1.0


def language_identity() -> dict[str, str]:
    """Returns the identity of the language rule, for the fingerprint of a stage that measures or rewards it."""
    return {"language": rule()}
