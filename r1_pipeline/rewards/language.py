"""Language consistency: the share of words in the target language (paper, equation 7; words: `data.language_id`).

A text without words is consistent with every language: 1.0. English and Chinese cost regular expressions only, 2 to 5
MB/s; other languages that share a script with another one cost an identification of every sentence, 0.3 MB/s.
"""

from r1_pipeline.data.language_id import rule, words_in
from r1_pipeline.records import Language


def language_share(text: str, language: Language) -> float:
    """Equation 7: words in the target language / words; 1.0 without words."""
    own, total = words_in(text, language)
    return own / total if total else 1.0


def language_identity() -> dict[str, str]:
    """For the fingerprint of a stage that measures or rewards language consistency."""
    return {"language": rule()}
