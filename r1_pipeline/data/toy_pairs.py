"""The toy preference pairs hold a better and a worse reply to general tasks: easy pairs, near misses, and wrong labels.

A pair is held out by its topic and by its forms: the request and the better reply of a held-out pair have a topic, a
wording and a sentence that no training pair has, and no training pair is about a held-out problem. A share of the
labels is wrong, as with human annotators; the `source` says which.
Not covered: a user's own pairs (`ingest`), which pairs make a set (`curation`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from random import Random

from r1_pipeline.data.ingest.declared import Side
from r1_pipeline.data.sources import source_of
from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.toy_general import GeneralTask, Manner, all_general_tasks
from r1_pipeline.data.toy_general_words import REPLIES, REQUESTS, THINGS, Kind
from r1_pipeline.records import Language, PreferenceKind, PreferencePair

WORSE: Mapping[Kind | None, tuple[Manner, ...]] = {
    None: ("name", "thing", "foreign", "half", "half", "long", "hedged", "curt", "rude", "off"),
    "harm": ("hedged", "hedged", "hedged", "half", "foreign", "long", "rude"),
    "harmless": ("hedged", "hedged", "hedged", "thing", "thing", "half", "foreign", "long", "off"),
}
"""The manners that a worse reply is drawn from, near misses more often than plain faults; the key None is for friendly
requests."""
DRAWS: Mapping[PreferenceKind, int] = {"helpful": 4, "safety": 7}
"""The number of pairs drawn for each request in each language; equal draws are one pair."""


def preference_pairs(heldout_share: float, wrong_share: float) -> list[tuple[PreferencePair, Side]]:
    """Returns all pairs, each with its side; `wrong_share` of them, chosen by hash, prefer the worse reply.

    Both shares are in [0, 1].
    """
    languages: tuple[Language, ...] = ("en", "zh")
    pairs: dict[str, tuple[PreferencePair, Side]] = {}
    for task in all_general_tasks():
        side = side_of(task, heldout_share)
        if side is None:
            continue
        for language in languages:
            for turn in range(DRAWS[task.preference]):
                pair = _pair(task, language, turn, side, heldout_share, wrong_share)
                pairs.setdefault(pair.id, (pair, side))
    return list(pairs.values())


def side_of(task: GeneralTask, heldout_share: float) -> Side | None:
    """Returns the side of the pairs about `task`; None for a held-out problem of a training topic, whose pairs are on
    neither side."""
    if is_heldout(f"#{task.topic}", heldout_share):
        return "heldout"
    return None if is_heldout(f"#{task.row}", heldout_share) else "train"


def _topics(kind: Kind, side: Side, heldout_share: float) -> list[int]:
    """Returns the indices of things whose topic is of `side`, or all where these leave no other thing to draw.

    A training pair that rejected the thing of a held-out topic would train the model on what that topic measures.
    """
    count = len(THINGS[kind]["en"])
    ours = [
        t for t in range(count) if is_heldout(f"#{GeneralTask(kind, 0, t).topic}", heldout_share) == (side == "heldout")
    ]
    return ours if len(ours) > 1 or side == "train" else list(range(count))


def forms_of(forms: Sequence[str], side: Side, heldout_share: float) -> range:
    """Returns the indices of the forms of a request or a reply that the pairs of `side` use; the last ones are held
    out."""
    kept = min(len(forms) - 1, round(len(forms) * (1 - heldout_share)))
    return range(kept) if side == "train" else range(kept, len(forms))


def _pair(
    task: GeneralTask, language: Language, turn: int, side: Side, heldout_share: float, wrong_share: float
) -> PreferencePair:
    kind, seed = task.kind, f"{task.row}\x1f{language}\x1f{turn}".encode()
    draw = Random(hashlib.sha256(seed).digest())
    manner = draw.choice(WORSE.get(kind, WORSE[None]))
    request, better, worse = (
        draw.choice(forms_of(tables[language][kind], side, heldout_share)) for tables in (REQUESTS, REPLIES, REPLIES)
    )
    prompt = task.question(language, request)
    chosen = task.reply("good", language, draw, better)
    rejected = task.reply(manner, language, draw, worse, _topics(kind, side, heldout_share))
    wrong = draw.random() < wrong_share
    if wrong:
        chosen, rejected = rejected, chosen
    source = source_of("preference")
    return PreferencePair(
        id=hashlib.sha256("\x1f".join((prompt, chosen, rejected)).encode()).hexdigest()[:16],
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        kind=task.preference,
        language=language,
        source=f"{source.name}#{task.row}: {manner}{', wrong label' if wrong else ''}",
        licence=source.licence,
    )
