"""Adds a domain with its own verifier: `reversal` asks for a word backwards, and the verifier compares letters only.

r1 run --profile smoke --recipe examples/verifier.py --select heldout_problems
"""

from pathlib import Path

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.extended import file_source, with_source
from r1_pipeline.records import DOMAINS, DomainKind, Outcome, Problem, Verdict
from r1_pipeline.rewards.graders import VERIFIERS
from r1_pipeline.rewards.verifier import verdict

FILE = Path(__file__).with_name("verifier.jsonl")


class Letters:
    """Compares letters, ignoring case and all other characters."""

    name, version = "letters", "1"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Compares the letters of the answer with those of the reference."""
        said, wanted = ("".join(filter(str.isalpha, text)).lower() for text in (final, problem.answer or ""))
        outcome = Outcome.CORRECT if said == wanted else Outcome.WRONG
        return verdict(self, outcome, f"{said!r} against {wanted!r}", said)

    def close(self) -> None:
        """Does nothing; the verifier holds no resources."""


DOMAINS.add("reversal", DomainKind(title="Reversed words", summary="plain", verifier="letters"))
VERIFIERS.add("letters", lambda runtime, rule: Letters())


def extend(profile: Profile) -> Profile:
    """Adds words to reverse to the held-out problems."""
    source = file_source("words", FILE, "verifier.toml", "Apache-2.0", "written for this example", "heldout")
    return with_source(profile, source, FILE.parent, "heldout_problems")
