"""Language consistency: the share of words in the target language (paper, equation 7).

The paper does not say what a word is. Here:
- fenced and inline code, mathematics (`$…$`, `\\(…\\)`, `\\[…\\]`, `\\boxed{…}`), LaTeX commands and tags are cut out;
- a run of Latin letters of at least two characters is one English word; single letters (variables, options) and
  everything with a digit or underscore in it (identifiers) are none;
- a run of n Chinese characters is n/2 words, rounded up: the mean Chinese word has close to two characters, so that
  a sentence weighs about the same in either language;
- a run of at least two letters of any other script is one word, of neither language (a lone Greek letter is a symbol).
A text without words is consistent with every language: 1.0. Regular expressions only; 1-2 MB/s.
"""

import re
from collections import Counter
from typing import Literal

from r1_pipeline.records import Language

_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\((?:(?!\\\().)*?\\\)|\\\[(?:(?!\\\[).)*?\\\]"
    r"|\\boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|</?[A-Za-z]+>",
    re.DOTALL,
)
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(
    rf"(?P<zh>[{_HAN}]+)"
    rf"|(?P<en>[{_LATIN}]++(?:['’][{_LATIN}]++)*+)(?![0-9_])"
    r"|[0-9_]+[A-Za-z0-9_]*|[A-Za-z]+[0-9_][A-Za-z0-9_]*"
    rf"|(?P<other>[^\W\d_{_LATIN}{_HAN}]+)"
)


def count_words(text: str) -> Counter[Literal["en", "zh", "other"]]:
    """Words by language, by the rule above."""
    counts: Counter[Literal["en", "zh", "other"]] = Counter()
    for match in _WORD.finditer(_NOT_PROSE.sub(" ", text)):
        length = match.end() - match.start()
        if match.lastgroup == "zh":
            counts["zh"] += (length + 1) // 2
        elif match.lastgroup == "en":
            counts["en"] += length > 1
        elif match.lastgroup == "other":
            counts["other"] += length > 1
    return counts


def language_share(text: str, language: Language) -> float:
    """Equation 7: words in the target language / words; 1.0 without words."""
    counts = count_words(text)
    total = counts.total()
    return counts[language] / total if total else 1.0
