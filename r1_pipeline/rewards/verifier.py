"""Verdicts: the `Verifier` protocol, and the `Grader` that sends each problem to its own verifier or its domain's.

A verifier sees only the final part of a reply and says why in a `Verdict`; weights and rewards are `rubric`'s.
The grader adds what all domains share: truncated and answerless replies, a cache, threads, closing. Answers of the
grader's own failures (`grader_error`) are never cached; what is stored lies in artifacts, whose fingerprints hold the
verifiers' versions. It works inside TRL's process and from any thread; children are separate interpreters (`workers`).
Not covered: format, language, preference, which are rewards but not verdicts; which verifiers there are (`graders`).
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

from r1_pipeline.data.templates import ANSWER_OPEN, TemplateName, split_reply, summarize
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import UNSCORED, Completion, Domain, Outcome, Problem, Verdict
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.reference_answers import own_answer

_CACHE_CHARACTERS = 60_000_000
"""What the cache may hold, some 100 MB; it is emptied when it is full."""
_ENTRY = 1_000
"""Characters that an entry counts for beside its own."""
_SPARE = 16
"""Replies in hand beside those that children have: most need none, and shall not wait for those that do."""


MODEL_JUDGES = ("judge", "reward_model")
"""Names that sign a verdict which is a model's opinion: a grader cannot repeat it, `lineage.judgements` replays it."""


class Verifier(Protocol):
    """Judges the answers of a domain. `judge` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """Short and stable."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a verdict can change: rules, limits, parser stack."""
        ...

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply; never raises for what a model wrote."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def verdict(verifier: Verifier, outcome: Outcome, detail: str, extracted: str | None = None) -> Verdict:
    """A verdict on `extracted` with the score that belongs to its outcome, signed by its verifier."""
    score = None if outcome in UNSCORED else float(outcome is Outcome.CORRECT)
    signed = f"{verifier.name}@{verifier.version}"
    return Verdict(outcome=outcome, score=score, extracted=extracted, detail=detail, verifier=signed)


def template_of(text: str) -> TemplateName:
    """The form of a reply whose template nobody states: `zero` if it has answer tags, else `chat`."""
    return "zero" if ANSWER_OPEN in text else "chat"


class Grader:
    """Grades completions; a context manager."""

    def __init__(
        self,
        verifiers: Mapping[Domain, Verifier],
        runtime: Runtime | None = None,
        rule: Rule = "strict",
        named: Mapping[str, Callable[[Runtime, Rule], Verifier]] | None = None,
    ) -> None:
        """`verifiers` judge by domain; `named` opens those that problems name themselves."""
        self.rule: Rule = rule
        """How its verifiers find an answer; `generation.grade_completions` opens more of them for a cluster."""
        self.runtime = runtime or Runtime()
        """Its threads judge side by side here; with a cluster, `generation.grade_completions` opens graders there."""
        self._verifiers = dict(verifiers)
        self._openers = dict(named or {})
        self._named: dict[str, Verifier] = {}
        self._cache: dict[tuple[Problem, str], Verdict] = {}
        self._cached = 0
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all children."""
        for verifier in (*self._verifiers.values(), *self._named.values()):
            verifier.close()

    @property
    def identity(self) -> dict[str, str]:
        """Domain -> `name@version`; part of every fingerprint that depends on verdicts."""
        return {domain: f"{verifier.name}@{verifier.version}" for domain, verifier in self._verifiers.items()}

    def identity_of(self, name: str) -> str:
        """`name@version` of the verifier with this name; opens nothing but it."""
        verifier = self.named(name)
        return f"{verifier.name}@{verifier.version}"

    def verifier(self, domain: Domain) -> Verifier:
        """The verifier of a domain; `UnknownNameError` if there is none."""
        if domain not in self._verifiers:
            raise UnknownNameError("domain of this grader", domain, self._verifiers)
        return self._verifiers[domain]

    def verifier_of(self, problem: Problem) -> Verifier:
        """The verifier that a problem names, or that of its domain; `UnknownNameError` if there is none."""
        return self.verifier(problem.domain) if problem.verifier is None else self.named(problem.verifier)

    def named(self, name: str) -> Verifier:
        """The verifier of this name, opened when it is first asked for; `UnknownNameError` if there is none."""
        if name not in self._openers:
            raise UnknownNameError("verifier", name, self._openers)
        with self._lock:
            if name not in self._named:
                self._named[name] = self._openers[name](self.runtime, self.rule)
            return self._named[name]

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply."""
        known = self._cache.get((problem, final))
        if known is None:
            known = self.verifier_of(problem).judge(problem, final)
            if known.outcome is not Outcome.GRADER_ERROR:
                self._remember(problem, final, known)
        return known

    def _remember(self, problem: Problem, final: str, judged: Verdict) -> None:
        tests = sum(len(test.given) + len(test.expected) for test in problem.tests)
        weight = _ENTRY + tests + 2 * len(final)
        with self._lock:
            if self._cached + weight > _CACHE_CHARACTERS:
                self._cache.clear()
                self._cached = 0
            self._cache[problem, final] = judged
            self._cached += weight

    def grade(self, problem: Problem, completion: Completion, template: TemplateName) -> Verdict:
        """The verdict on a whole completion. One that was cut off has not committed itself to any answer."""
        verifier = self.verifier_of(problem)
        if completion.finish_reason == "length":
            return self._without_reference(problem) or verdict(
                verifier, Outcome.TRUNCATED, f"cut off after {len(completion.token_ids)} tokens"
            )
        return self.judge_reply(problem, completion.text, template)

    def judge_reply(self, problem: Problem, text: str, template: TemplateName) -> Verdict:
        """The verdict on the whole text of a finished reply."""
        final = split_reply(template, text).final
        if not final:
            verifier = self.verifier_of(problem)
            malformed = verdict(verifier, Outcome.MALFORMED, "no final answer, or several that differ")
            return self._without_reference(problem) or malformed
        return self.judge(problem, final)

    def _without_reference(self, problem: Problem) -> Verdict | None:
        """The verdict where there is nothing to compare with, which is the same for every reply; else None."""
        if problem.answer is not None or problem.tests:
            return None
        found = self.judge(problem, "")
        return found if found.outcome is Outcome.UNREFERENCED else None

    def grade_all(self, pairs: Iterable[tuple[Problem, Completion]], template: TemplateName) -> list[Verdict]:
        """`grade` for each pair, in order; repeated answers are judged once, slow ones side by side."""
        rows = list(pairs)
        keys = [(problem, completion.text, completion.finish_reason) for problem, completion in rows]
        first = dict(zip(keys, rows, strict=True))
        with ThreadPoolExecutor(self.runtime.threads + _SPARE) as threads:
            verdicts = threads.map(lambda row: self.grade(row[0], row[1], template), first.values())
            judged = dict(zip(first, verdicts, strict=True))
        return [judged[key] for key in keys]


def reference_verdict(grader: Grader, problem: Problem) -> Verdict:
    """How a problem's own reference answer (for code: program) fares; curation drops what is not `correct`."""
    if problem.answer is None:
        return verdict(grader.verifier_of(problem), Outcome.UNGRADABLE, "the problem carries no reference")
    return grader.judge(problem, summarize(problem.domain, own_answer(problem)))
