"""This module counts the multiple-choice rows of a corpus whose reasoning does not support their answer.

In the toy world the truth of every step is known, so that a rule can distinguish a worked answer ("first 3 * 5 = 15, so
15(B)") from a lucky one ("maybe 25(A) 15(B)"). Rows of any other source are not judged.
"""

import re

from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.data.templates import split_reply
from r1_pipeline.data.toy_problems import product_of
from r1_pipeline.data.toy_tasks import LETTERS, Product
from r1_pipeline.records import Record
from r1_pipeline.rewards.answer_extraction import final_answer
from r1_pipeline.rewards.multiple_choice import normal

_EQUATION = re.compile(r"(\d+) \* (\d+) = (\d+)")
_OPTION = re.compile(rf"(\d+)\(([{LETTERS}])\)")


class Support(Record):
    """The counts of toy multiple-choice rows in a corpus."""

    rows: int
    """The number of toy multiple-choice rows."""
    unsupported: int
    """The number of those rows whose reasoning does not support their answer."""


def support(corpus: Corpus) -> Support:
    """Counts the toy multiple-choice rows of `corpus`, in linear time and bounded memory."""
    rows = unsupported = 0
    for frame in corpus.batches(["source", "response"]):
        for source, response in frame.iter_rows():
            if about := product_of(source):
                rows += 1
                unsupported += not supported(about, response)
    return Support(rows=rows, unsupported=unsupported)


def supported(about: Product, response: str) -> bool:
    """Returns True if the reasoning supports the answer.

    The last equation must multiply the question's factors and be true, the last option that the reasoning names must
    have its value, and that option must be the answer.
    """
    reply = split_reply("chat", response)
    reasoning, answer = reply.reasoning or "", final_answer(reply.final or "", normal, "strict", letter=True).answer
    equations, named = _EQUATION.findall(reasoning), _OPTION.findall(reasoning)
    if not (equations and named and answer):
        return False
    *factors, value = map(int, equations[-1])
    number, letter = named[-1]
    return (
        sorted(factors) == sorted(about.factors)
        and factors[0] * factors[1] == value == int(number) == about.options[LETTERS.index(letter)]
        and normal(answer) == letter.casefold()
    )
