"""The registry of verifiers, and the grader that has the verifiers of all domains.

A new verifier is a module with `name`, `version`, `judge` and `close`, and an entry in `VERIFIERS`, here or in a recipe
file. A domain names its verifier (`records.DOMAINS`); a source or a problem may name another.
"""

from collections.abc import Callable, Iterable

from r1_pipeline.artifacts.kinds import ProblemSet
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import DOMAINS, Domain
from r1_pipeline.registry import Registry
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.code import CodeVerifier
from r1_pipeline.rewards.instructions import with_langdetect, with_py3langid
from r1_pipeline.rewards.judged_by_model import JudgedByModel
from r1_pipeline.rewards.keywords import KeywordsVerifier
from r1_pipeline.rewards.maths import MathsVerifier
from r1_pipeline.rewards.multiple_choice import ChoiceVerifier
from r1_pipeline.rewards.sandbox.bubblewrap import BubblewrapRunner
from r1_pipeline.rewards.verifier import Grader, Verifier

VERIFIERS: Registry[Callable[[Runtime, Rule], Verifier]] = Registry(
    "verifier",
    {
        "maths": lambda runtime, rule: MathsVerifier(workers=runtime.threads, rule=rule),
        "code": lambda runtime, _: CodeVerifier(BubblewrapRunner(workers=runtime.threads)),
        "choice": lambda _, rule: ChoiceVerifier(rule),
        "keywords": lambda _, __: KeywordsVerifier(max_words=60),
        "instructions": lambda _, rule: with_py3langid(rule),
        "instructions_langdetect": lambda _, rule: with_langdetect(rule),
        "judge": lambda _, __: JudgedByModel(),
    },
)
"""Constructors of verifiers, which take a runtime and an extraction rule, by the name that domains and problems use.

A recipe file may add its own.
"""


def default_grader(runtime: Runtime, rule: Rule = "strict") -> Grader:
    """Opens a grader with the verifiers of all domains, with `runtime.threads` children each where they need children.

    `rule` is the extraction rule for mathematics and option letters (`answer_extraction`); training and curation use
    the strict one. The grader's verdicts are the accuracy reward (paper, section B.3.1). Use the grader in a `with`
    block, which ends the children.

    Raises `UnknownNameError` for a domain whose verifier does not exist. A child starts when an answer first needs it,
    and that call raises `GraderError` if the child cannot start.
    """
    names = dict.fromkeys(domain.verifier for domain in DOMAINS.values())
    verifiers = {name: VERIFIERS[name](runtime, rule) for name in names}
    return Grader({name: verifiers[domain.verifier] for name, domain in DOMAINS.items()}, runtime, rule, VERIFIERS)


def grader_identity(domains: Iterable[Domain], *problems: ProblemSet, rule: Rule = "strict") -> dict[str, str]:
    """Returns the identities of the verifiers of these domains and of those that rows of `problems` name.

    The keys are `verifier.DOMAIN` and `verifier.NAME`, the values `name@version`.
    """
    return verifier_identity(domains, (name for each in problems for name in each.verifiers), rule)


def verifier_identity(domains: Iterable[Domain], named: Iterable[str], rule: Rule = "strict") -> dict[str, str]:
    """Returns `name@version` by `verifier.DOMAIN` and `verifier.NAME`; judges nothing.

    Raises `UnknownNameError` for a name that `VERIFIERS` does not have.
    """
    with default_grader(Runtime(), rule) as grader:
        by_domain = {f"verifier.{domain}": grader.identity_of(DOMAINS[domain].verifier) for domain in sorted(domains)}
        return by_domain | {f"verifier.{name}": grader.identity_of(name) for name in sorted(set(named))}
