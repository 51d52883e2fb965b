"""This module counts the words of a text and identifies their language, for the language consistency of equation 7.

The paper counts "words in the target language" and gives no rule; this is ours, in four steps.

1. Fenced and inline code, figures (`[asy]…[/asy]`), mathematics (`$…$`, `\\(…\\)`, `\\[…\\]`, `\\boxed{…}`,
   environments), LaTeX commands and tags are removed.
2. Runs of letters of one script are words. A run of n Han or kana is n/2 words, since the mean length of a word in
   Chinese and Japanese is close to two; a run of n Thai letters is n/4. In other scripts a run of at least two letters
   is one word. Single letters are symbols (variables, options), and anything that contains a digit or an underscore
   is an identifier: neither counts as a word.
3. The script decides the language where only one of `LANGUAGES` is written in it. Han is Japanese in a sentence that
   also has kana, or where Japanese is the target and the sentence has fewer than `TELLING_HAN` words in Han;
   otherwise it is Chinese.
4. Where several languages share a script, sentences are grouped until a group has `TELLING` different words, and
   py3langid identifies each group among the languages of that script. Its words are in the target language unless
   another one is `DOUBT` times as probable. English is assumed without identification where a sentence has one of the
   commonest English words, or a text has too few different words: English and Chinese texts are therefore counted by
   regular expressions alone, and a foreign phrase of fewer than `TELLING` words counts as English.

A target language must be in `LANGUAGES`. Not covered: the reward (`rewards.language`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

from r1_pipeline.recipe import installed_version
from r1_pipeline.records import Language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

Script = Literal[
    "latin", "han", "kana", "cyrillic", "arabic", "devanagari", "hangul", "greek", "hebrew", "thai", "bengali", "tamil",
    "telugu", "georgian", "armenian", "other",
]  # fmt: skip
LANGUAGES: Mapping[Language, tuple[str, Script]] = {
    "en": ("English", "latin"), "zh": ("Chinese", "han"), "ja": ("Japanese", "kana"), "ko": ("Korean", "hangul"),
    "fr": ("French", "latin"), "de": ("German", "latin"), "es": ("Spanish", "latin"), "it": ("Italian", "latin"),
    "pt": ("Portuguese", "latin"), "nl": ("Dutch", "latin"), "sv": ("Swedish", "latin"), "da": ("Danish", "latin"),
    "no": ("Norwegian", "latin"), "fi": ("Finnish", "latin"), "pl": ("Polish", "latin"), "cs": ("Czech", "latin"),
    "hu": ("Hungarian", "latin"), "ro": ("Romanian", "latin"), "tr": ("Turkish", "latin"),
    "vi": ("Vietnamese", "latin"), "id": ("Indonesian", "latin"), "ru": ("Russian", "cyrillic"),
    "uk": ("Ukrainian", "cyrillic"), "bg": ("Bulgarian", "cyrillic"), "el": ("Greek", "greek"),
    "he": ("Hebrew", "hebrew"), "ar": ("Arabic", "arabic"), "fa": ("Persian", "arabic"), "ur": ("Urdu", "arabic"),
    "hi": ("Hindi", "devanagari"), "mr": ("Marathi", "devanagari"), "ne": ("Nepali", "devanagari"),
    "bn": ("Bengali", "bengali"), "ta": ("Tamil", "tamil"), "te": ("Telugu", "telugu"), "th": ("Thai", "thai"),
    "ka": ("Georgian", "georgian"), "hy": ("Armenian", "armenian"),
}  # fmt: skip
"""The code of each language (ISO 639-1), with its name and script."""
TELLING = 8
"""The number of different words that suffices to tell languages of one script apart; measured in docs/decisions.md."""
TELLING_HAN = 4
"""The number of words in Han that no Japanese sentence has without kana."""
DOUBT = 3.0
"""The factor by which another language must be more probable than the target language."""
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\((?:(?!\\\().)*?\\\)|\\\[(?:(?!\\\[).)*?\\\]"
    r"|\\begin\{([a-z]+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}|\[asy\](?:(?!\[asy\]).)*?\[/asy\]"
    r"|\\boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|</?[A-Za-z]+>",
    re.DOTALL,
)
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_LETTERS: Mapping[Script, str] = {
    "han": "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "kana": "\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe",
    "cyrillic": "\u0400-\u0481\u048a-\u052f",
    "arabic": "\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0750-\u077f\u200c",
    "devanagari": "\u0900-\u0963\u0971-\u097f\u200d",
    "hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "greek": "\u0370-\u0373\u0376\u0377\u037b-\u037d\u0386\u0388-\u03ff\u1f00-\u1fff",
    "hebrew": "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05d0-\u05f4",
    "thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "bengali": "\u0980-\u09e3\u09f0\u09f1",
    "tamil": "\u0b82-\u0be3",
    "telugu": "\u0c00-\u0c63",
    "georgian": "\u10a0-\u10ff",
    "armenian": "\u0531-\u0556\u0561-\u0587",
}
_SCRIPTS = "".join(_LETTERS.values())
_WORD = re.compile(
    rf"(?P<latin>[{_LATIN}]++(?:['’][{_LATIN}]++)*+)(?![0-9_])"
    r"|[0-9_]+[A-Za-z0-9_]*|[A-Za-z]+[0-9_][A-Za-z0-9_]*"
    rf"|(?P<others>[{_SCRIPTS}]+)|(?P<other>[^\W\d_{_LATIN}{_SCRIPTS}]+)"
)
_RUN = re.compile("|".join(f"(?P<{script}>[{letters}]+)" for script, letters in _LETTERS.items()))
_SENTENCE = re.compile(r"[.!?…;。！？；।؟\n]+")
_ENGLISH = re.compile(
    r"\b(?:the|and|that|this|these|with|which|from|its|then|there|they|their|you|your|our|not|but|if|when|each"
    r"|because|since|what|how|would|should|could|does|she|his)\b",
    re.IGNORECASE,
)


def count_words(text: str) -> Counter[Script]:
    """Returns the number of words in each script (steps 1 and 2)."""
    return _by_script(_prose(text))


def words_in(text: str, language: Language) -> tuple[int, int]:
    """Returns the number of words of a text in `language`, and of all its words (all four steps).

    Raises `KeyError` for a language that is not in `LANGUAGES`.
    """
    plain = _prose(text)
    counts = _by_script(plain)
    _, script = LANGUAGES[language]
    own = counts[script] + (counts["han"] if language == "ja" else 0)
    if language == "ja" or (language == "zh" and counts["kana"]):
        own -= sum(_other_han(sentence, language) for sentence in _SENTENCE.split(plain))
    elif own and len(_rivals(script)) > 1:
        own -= sum(len(group) for group in _groups(plain, language, script) if _foreign(group, language, script))
    return own, counts.total()


def identified(text: str, languages: tuple[str, ...]) -> str | None:
    """Returns the language of a whole text, one of `languages` (py3langid); None for a text without letters.

    Capital letters are read as small ones.
    """
    if not any(character.isalpha() for character in text):
        return None
    return str(_among(languages).classify(text.lower())[0])


def rule() -> str:
    """Returns `name@version` of this rule and its library, for the fingerprint of every count made by it."""
    return f"words@2/py3langid-{installed_version('py3langid')}"


def _prose(text: str) -> str:
    return _NOT_PROSE.sub(" ", normalize("NFC", text))


def _runs(plain: str) -> Iterator[tuple[Script, str]]:
    """Yields the script and the letters of every run that step 2 considers."""
    for found in _WORD.finditer(plain):
        if found.lastgroup == "others":
            for run in _RUN.finditer(found[0]):
                yield run.lastgroup, run[0]  # type: ignore[misc]
        elif found.lastgroup is not None:
            yield found.lastgroup, found[0]  # type: ignore[misc]


def _by_script(plain: str) -> Counter[Script]:
    counts: Counter[Script] = Counter()
    for script, run in _runs(plain):
        counts[script] += _weight(script, len(run))
    return counts


def _weight(script: Script, length: int) -> int:
    match script:
        case "han":
            return (length + 1) // 2
        case "kana":
            return length // 2
        case "thai":
            return (length + 3) // 4
        case _:
            return int(length > 1)


def _other_han(sentence: str, language: Language) -> int:
    """Returns the number of Han words in the sentence that are not in `language`, Chinese or Japanese (step 3)."""
    counts = _by_script(sentence)
    japanese = counts["kana"] > 0 or (language == "ja" and counts["han"] < TELLING_HAN)
    return 0 if japanese == (language == "ja") else counts["han"]


def _groups(plain: str, language: Language, script: Script) -> list[list[str]]:
    """Returns the words of one script in the groups to identify (step 4)."""
    groups: list[list[str]] = [[]]
    for sentence in _SENTENCE.split(plain):
        if language == "en" and _ENGLISH.search(sentence):
            continue
        groups[-1] += [run for written, run in _runs(sentence) if written == script and len(run) > 1]
        if len(set(groups[-1])) >= TELLING:
            groups.append([])
    rest = groups.pop()
    if groups:
        groups[-1] += rest
    elif rest and language != "en":
        groups.append(rest)
    return groups


def _foreign(words: list[str], language: Language, script: Script) -> bool:
    probable = dict(_identifier(script).rank(" ".join(dict.fromkeys(words))))
    return bool(max(probable.values()) > DOUBT * probable[language])


def _rivals(script: Script) -> list[str]:
    return [language for language, (_, written) in LANGUAGES.items() if written == script]


@cache
def _identifier(script: Script) -> "LanguageIdentifier":
    """Returns the identifier of py3langid, restricted to the languages of one script."""
    return _among(tuple(_rivals(script)))


@cache
def _among(languages: tuple[str, ...]) -> "LanguageIdentifier":
    """Returns the identifier of py3langid, restricted to these languages."""
    identifier = copy(_all_languages())
    identifier.set_languages(list(languages))
    return identifier


@cache
def _all_languages() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
