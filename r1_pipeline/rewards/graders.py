"""Which verifiers there are, and the grader that has those of all domains.

To add one: a module with `name`, `version`, `judge`, `close`, and an entry in `VERIFIERS`, here or in a recipe file; a
domain names its verifier (`records.DOMAINS`), and a source or problem may name another.
"""

from collections.abc import Callable, Iterable

from r1_pipeline.artifacts.kinds import ProblemSet
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import DOMAINS, Domain
from r1_pipeline.registry import Registry
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.code import CodeVerifier
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
    },
)
"""Every verifier, by the name that domains and problems use, opened for a runtime and a rule of extraction; a recipe
file may add its own."""


def default_grader(runtime: Runtime, rule: Rule = "strict") -> Grader:
    """Opens a grader with the verifiers of all domains, with `runtime.threads` children each where they need children.

    `rule` says how mathematics and letters find the answer of a reply (`answer_extraction`); training and curation are
    strict. Its verdicts are the accuracy reward (paper, section B.3.1). Use it in a `with` block, which ends the
    children.

    Raises `UnknownNameError` for a domain whose verifier does not exist; a child is started, and may raise
    `GraderError`, when an answer first needs it.
    """
    names = dict.fromkeys(domain.verifier for domain in DOMAINS.values())
    verifiers = {name: VERIFIERS[name](runtime, rule) for name in names}
    return Grader({name: verifiers[domain.verifier] for name, domain in DOMAINS.items()}, runtime, rule, VERIFIERS)


def grader_identity(domains: Iterable[Domain], *problems: ProblemSet, rule: Rule = "strict") -> dict[str, str]:
    """`verifier.DOMAIN` -> `name@version` of the verifiers that judge these domains, and of those that rows of
    `problems` name themselves."""
    return verifier_identity(domains, (name for each in problems for name in each.verifiers), rule)


def verifier_identity(domains: Iterable[Domain], named: Iterable[str], rule: Rule = "strict") -> dict[str, str]:
    """`verifier.DOMAIN` and `verifier.NAME` -> `name@version`, without judging anything."""
    with default_grader(Runtime(), rule) as grader:
        by_domain = {f"verifier.{domain}": grader.identity_of(DOMAINS[domain].verifier) for domain in sorted(domains)}
        return by_domain | {f"verifier.{name}": grader.identity_of(name) for name in sorted(set(named))}
