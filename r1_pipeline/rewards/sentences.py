"""This module counts sentences and capitalized words in a reply, by rules for English.

A sentence ends at `?`, `!` or a period before white space or a closing mark. A period does not end one after an
abbreviation or an initial, or before a lower-case word if it belongs to an ellipsis or a numeral. The counts follow
Punkt (Kiss and Strunk 2006) with NLTK's English model, which IFEval counts with, as far as rules do without its 300 kB
of statistics; docs/grading.md says how often they agree.
"""

import re

_ABBREVIATIONS = frozenset(
    {
        "adm", "aug", "ave", "bros", "capt", "co", "col", "corp", "dec", "dr", "feb", "fri", "ft", "gen", "gov",
        "inc", "jan", "jr", "lt", "ltd", "maj", "messrs", "mr", "mrs", "ms", "mt", "nov", "oct", "p.m", "a.m", "ph.d",
        "prof", "rep", "rev", "sen", "sept", "sr", "st", "u.s", "u.k", "u.n", "vs", "d.c", "b.c", "wash", "yr",
        "tues", "thurs",
    }
)  # fmt: skip
"""English abbreviations before a period."""
_STARTERS = frozenset(
    {
        "a", "an", "and", "as", "at", "but", "for", "he", "her", "his", "however", "i", "if", "in", "it", "its",
        "many", "most", "my", "no", "now", "on", "one", "our", "she", "so", "some", "that", "the", "their", "then",
        "there", "these", "they", "this", "those", "to", "we", "what", "when", "while", "you", "your",
    }
)  # fmt: skip
"""Words that begin a sentence, written with a capital letter, even after an abbreviation."""
_END = re.compile(r"(?P<mark>[.?!]+)(?=[\"'()\[\]{}*;:@]|\s|$)")
_BEFORE = re.compile(r"[\w.'’-]+\Z")
_AFTER = re.compile(r"[^\w\s]*\s+(?P<word>[\w'’]+)")
_CLOSING = re.compile(r"[\"')\]}]*")
_WORD_REACH = 40
"""The number of characters before a period in which its word lies."""
_TOKEN_BREAK = re.compile(r"[\s\[\](){}<>\"“”«»?!;@#$%&,:]|--|\.{2,}")
_CONTRACTION = re.compile(r"(?i)('(?:s|m|d|ll|re|ve)|n't)$")


def count_sentences(text: str) -> int:
    """Returns the number of sentences; text after the last end counts as one."""
    count, end = 0, 0
    for found in _END.finditer(text):
        if _ends(text, found):
            count, end = count + 1, found.end()
    return count + bool(_CLOSING.sub("", text[end:], count=1).strip())


def _ends(text: str, found: "re.Match[str]") -> bool:
    """Returns True if this mark ends a sentence."""
    mark = found["mark"]
    if mark[-1] != ".":
        return True
    after = _AFTER.match(text, found.end())
    following = after["word"] if after else ""
    if len(mark) > 1:
        return following[:1].isupper() or not following
    before = _BEFORE.search(text[max(0, found.start() - _WORD_REACH) : found.start()])
    word = before[0].casefold() if before else ""
    if word in _ABBREVIATIONS or (before and _is_initial(text, before[0], found.start())):
        return not following or (following[:1].isupper() and following.casefold() in _STARTERS)
    return not (word.isdigit() and following[:1].islower())


def _is_initial(text: str, word: str, end: int) -> bool:
    """Returns True for the capital letter of a name; one that begins a line numbers an item of a list."""
    begins = text[max(0, end - _WORD_REACH) : end - len(word)].rpartition("\n")[2].strip() == ""
    return len(word) == 1 and word.isupper() and not (begins and end > len(word))


def capital_words(text: str) -> int:
    """Returns the number of tokens whose letters are all capital; a contraction is two tokens."""
    count = 0
    for token in _TOKEN_BREAK.split(text):
        word = token.strip("'")
        if tail := _CONTRACTION.search(word):
            count += tail[0].isupper()
            word = word[: tail.start()]
        count += word.isupper()
    return count
