"""This module grades replies by verifiable instructions, as IFEval does: a reply is correct if it follows all of them.

Each hidden test of a problem is an instruction (`TestCase` of the kind `instruction`: its name, and its arguments as
JSON). The strict rule tests the reply as it is. The lenient rule is IFEval's loose one: an instruction also counts as
followed by the reply without its first line, its last line, both, its asterisks, or any of these together.
`share_followed` is the same as a reward that has partial credit.
Not covered: the instructions themselves (`instruction_rules`).
"""

import json
from collections.abc import Callable
from functools import partial

from r1_pipeline.data.language_id import identified
from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.recipe import installed_version
from r1_pipeline.records import Completion, Outcome, Problem, TestCase, Verdict
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.instruction_rules import LANGUAGES, Identify, rule_of
from r1_pipeline.rewards.verifier import verdict

RULES = "1"
"""The version of the instructions' rules; bump it when any verdict can change."""
MAX_REPLY = 200_000
"""The number of characters of the longest reply that is read; a longer one is wrong."""


class InstructionsVerifier:
    """Grades replies by their instructions; see the module's docstring for the rules."""

    name = "instructions"

    def __init__(self, rule: Rule, identify: Identify, library: str) -> None:
        """Takes the function that identifies languages, and the `library-version` behind it."""
        self._loose, self._identify = rule == "lenient", identify
        self.version = f"{RULES}+{'loose' if self._loose else 'strict'}/{library}"

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Judges the final part of a reply; a problem without instructions, or with an unknown one, is `ungradable`."""
        try:
            rules = [(test.function, _rule(test, self._identify)) for test in problem.tests]
        except ValueError as error:
            return verdict(self, Outcome.UNGRADABLE, str(error))
        if not rules:
            return verdict(self, Outcome.UNGRADABLE, "the problem has no instructions")
        if len(final) > MAX_REPLY:
            return verdict(self, Outcome.WRONG, f"a reply of more than {MAX_REPLY} characters", final)
        texts = _variants(final) if self._loose else [final]
        ignored = [name for name, rule in rules if not any(text.strip() and rule(text) for text in texts)]
        followed = f"{len(rules) - len(ignored)} of {len(rules)} instructions followed"
        if ignored:
            return verdict(self, Outcome.WRONG, f"{followed}; not {', '.join(ignored)}", final)
        return verdict(self, Outcome.CORRECT, followed, final)

    def close(self) -> None:
        """Does nothing: this verifier holds no resources."""


def with_py3langid(rule: Rule) -> InstructionsVerifier:
    """Returns the verifier that identifies languages with py3langid."""
    return InstructionsVerifier(rule, _py3langid, f"py3langid-{installed_version('py3langid')}")


def with_langdetect(rule: Rule) -> InstructionsVerifier:
    """Returns the verifier that identifies languages as the reference implementation does, with langdetect.

    langdetect draws at random; its seed is fixed here. Raises `ModuleNotFoundError` without the extra `ifeval`.
    """
    import langdetect

    langdetect.DetectorFactory.seed = 0

    def identify(text: str) -> str | None:
        try:
            return str(langdetect.detect(text))
        except langdetect.LangDetectException:
            return None

    return InstructionsVerifier(rule, identify, f"langdetect-{installed_version('langdetect')}")


def share_followed(problem: Problem, completion: Completion, template: TemplateName) -> float | None:
    """Returns the share of a problem's instructions that the final part of a reply follows strictly, as a reward part.

    It is None for a problem without instructions, and 0.0 for a reply without a final part.
    """
    if not problem.tests or any(test.kind != "instruction" for test in problem.tests):
        return None
    final = split_reply(template, completion.text).final or ""
    if not final.strip() or len(final) > MAX_REPLY:
        return 0.0
    rules = [_rule(test, _py3langid) for test in problem.tests]
    return sum(rule(final) for rule in rules) / len(rules)


_py3langid = partial(identified, languages=LANGUAGES)


def _rule(test: TestCase, identify: Identify) -> Callable[[str], bool]:
    """Returns the rule of one instruction; raises `ValueError` for one that does not exist."""
    arguments = json.loads(test.given) if test.kind == "instruction" else None
    if not isinstance(arguments, dict):
        raise ValueError(f"a test of the kind {test.kind!r} with {test.given[:40]!r} is no instruction with arguments")
    return rule_of(test.function, arguments, identify)


def _variants(reply: str) -> list[str]:
    """Returns the eight readings of a reply that the loose rule allows."""
    lines = reply.split("\n")
    cuts = [reply, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [text for cut in cuts for text in (cut, cut.replace("*", ""))]
