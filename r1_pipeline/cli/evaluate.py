"""The work behind `r1 evaluate`: benchmarks for any model.

A model is a checkpoint of the graph, a directory, `OWNER/NAME@COMMIT` of the Hub, or `URL#NAME` on a server. What
cannot be evaluated is refused before anything is sampled. Problems, answers and scores are artifacts of the home, made
by the verbs of the graph: an interrupted evaluation resumes, and a second one samples nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from r1_pipeline.artifacts.kinds import Checkpoint, EvalReport, ProblemSet
from r1_pipeline.artifacts.store import Store
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.engines import OpenAi
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.evaluation.benchmarks import (
    Located,
    NamedBenchmark,
    benchmarks_in,
    has_data,
    load_benchmark,
    shipped_benchmarks,
)
from r1_pipeline.evaluation.groups import GroupedBy, GroupScore
from r1_pipeline.evaluation.judge_table import metric_value
from r1_pipeline.evaluation.judged_scores import JudgedScores
from r1_pipeline.evaluation.judging import require_judges
from r1_pipeline.evaluation.paper import COLUMNS
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.evaluation.scores import Scores, scores_of
from r1_pipeline.generation.openai import served_context
from r1_pipeline.generation.tokens import context_of
from r1_pipeline.home import HomeSettings
from r1_pipeline.profiles.extended import benchmark_problems, own_evaluation
from r1_pipeline.profiles.profile import Profile
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import UNSCORED, Outcome, Record
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.settings.engines import OpenAiSettings
from r1_pipeline.training.import_pretrained import HubModel, LocalModel, digest_of, require_model
from r1_pipeline.verbs import OutsideRecipe, ServedModel, ask, ask_outside, curate, evaluate

ANY_SERVER = OpenAiSettings(
    base_url="",
    key_variable=None,
    concurrency=8,
    timeout_s=600.0,
    attempts=5,
    usd_per_million_prompt_tokens=0.0,
    usd_per_million_completion_tokens=0.0,
)
"""The settings of a server where `runtime.toml` has none."""
_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


class BenchmarkResult(Record):
    """The scores of a model on one benchmark, with the protocol and the paper's figures."""

    benchmark: str
    model: str
    model_identity: str
    template: TemplateName
    """The prompt form that the model was asked in."""
    samples: int
    """The number of completions for each problem."""
    metric: str
    """The name of the score that is compared with the paper's."""
    value: float
    """The score of this name."""
    scores: Scores
    groups: dict[GroupedBy, dict[str, GroupScore]]
    """The scores by language and difficulty, where the data has them."""
    judged: JudgedScores | None
    """The scores that judges gave; None if rules gave the verdicts."""
    truncated: float
    """The share of completions that were cut off."""
    unscored: float
    """The share of completions without a verdict, which count in no score."""
    dropped: dict[str, int]
    """The number of problems that were not asked, by reason, such as `too_long` for the model."""
    paper: dict[str, float | None]
    """The paper's figures by model, in percent; empty if it has none."""
    note: str
    """The difference between this protocol and the published one, in words."""
    evaluation: str
    """The folder of the artifact."""


@dataclass(frozen=True)
class Subject:
    """A model that is evaluated."""

    label: str
    """The last part of the names of its answers and evaluations."""
    source: Checkpoint | HubModel | LocalModel | ServedModel
    context: int | None
    """The number of tokens in its context; None if its server does not say."""
    runtime: Runtime
    """The profile's runtime, with the place of the model."""


def subject_of(model: str, settings: HomeSettings, profile: Profile, orchestrator: Orchestrator) -> Subject:
    """Finds a model; raises `UnknownNameError` for one that is nowhere, and the errors of the place that it names."""
    runtime, directory = profile.runtime, Path(model)
    if model.startswith(("http://", "https://")):
        return _served(model, runtime)
    if model in map(str, profile.bound.checkpoints):
        checkpoint = orchestrator.newest_model(settings, model)
        return Subject(model, checkpoint, context_of(checkpoint.path), runtime)
    if directory.is_dir():
        directory = directory.resolve()
        digest, label = digest_of(directory), directory.name
        source: HubModel | LocalModel = LocalModel(digest=digest)
        runtime = runtime.model_copy(update={"models": {**runtime.models, digest: str(directory)}})
    elif "@" in model:
        repository, _, revision = model.partition("@")
        source, label = HubModel(repository=repository, revision=revision), f"{repository}-{revision[:12]}"
    else:
        others = ("a directory", "OWNER/NAME@COMMIT of the Hub", "URL#NAME on a server")
        raise UnknownNameError("model", model, [*map(str, profile.bound.checkpoints), *others])
    return Subject(_outside(label, profile), source, context_of(require_model(source, runtime)), runtime)


def _served(model: str, runtime: Runtime) -> Subject:
    url, name = _url_and_name(model)
    server = (runtime.openai or ANY_SERVER).model_copy(update={"base_url": url})
    label = _LABEL.sub("-", f"{name}-at-{url.partition('//')[2]}")
    found = runtime.model_copy(update={"openai": server})
    return Subject(label, ServedModel(name=name), served_context(server, name), found)


def _url_and_name(model: str) -> tuple[str, str]:
    url, _, name = model.partition("#")
    if not name:
        raise RecipeError(f"{model} names a server and no model; give URL#NAME, the name that the server has")
    return url, name


def with_judges(
    benchmarks: Sequence[NamedBenchmark], judges: str, runtime: Runtime
) -> tuple[list[NamedBenchmark], Runtime]:
    """Returns the benchmarks with other judges, and the runtime with their servers.

    `judges` lists them with commas: URL#NAME, or the name of one whose server the runtime has.
    """
    if not any(each.judge for each in benchmarks):
        raise RecipeError("--judge names judges, and none of these benchmarks is judged; leave it out")
    servers, names = dict(runtime.judges), []
    for judge in judges.split(","):
        name = judge.strip()
        if name.startswith(("http://", "https://")):
            url, name = _url_and_name(name)
            servers[name] = servers.get(name, ANY_SERVER).model_copy(update={"base_url": url})
        names.append(name)
    changed = [
        each.model_copy(update={"judge": each.judge.model_copy(update={"models": tuple(names)})})
        if each.judge
        else each
        for each in benchmarks
    ]
    return changed, runtime.model_copy(update={"judges": servers})


def _outside(label: str, profile: Profile) -> str:
    """Returns a label that no checkpoint of the graph has."""
    plain = _LABEL.sub("-", label)
    return f"{plain}-outside" if plain in {name.partition("/")[0] for name in profile.bound.names} else plain


def chosen(names: str | None, data: Path) -> list[NamedBenchmark]:
    """Returns the benchmarks that `names` lists with commas, or all whose data is in the folder `data`."""
    if names is not None:
        return [load_benchmark(name.strip(), data) for name in names.split(",")]
    found = [each for each in known(data) if has_data(each, data)]
    if not found:
        raise RecipeError(f"there is no data of any benchmark in {data}; `r1 benchmarks` says how to get it")
    return found


def known(data: Path) -> list[NamedBenchmark]:
    """Returns the benchmarks of the folder `data`, and the shipped ones that it does not replace."""
    own = benchmarks_in(data)
    names = {each.name for each in own}
    return [*own, *(load_benchmark(name) for name in shipped_benchmarks() if name not in names)]


def evaluate_model(
    subject: Subject,
    found: Sequence[Located],
    profile: Profile,
    home: Path,
    form: TemplateName | None,
    limit: int | None,
) -> list[BenchmarkResult]:
    """Evaluates a model on benchmarks, in order; `form` replaces their prompt form, `limit` the number of problems.

    Raises `RecipeError`, before anything is sampled, for a model whose context is shorter than a benchmark's replies
    may be, and `SourceError` for problems that are not the published ones.
    """
    recipes = {each.benchmark.name: _recipe(each, profile, limit) for each in found}
    for each, (name, recipe) in zip(found, recipes.items(), strict=True):
        _require_context(name, recipe, subject, 2 if each.conversation else 1)
        if (judge := recipe.grade.judge) is not None:
            require_judges(judge, subject.runtime)
    runtime = subject.runtime
    folders = {**runtime.folders, **{each.source.name: str(each.folder) for each in found}}
    runtime = runtime.model_copy(update={"folders": folders})
    store = Store(home, device=runtime.device)
    sets = {
        each.benchmark.name: curate(
            BuildContext(store, runtime, f"{each.benchmark.name}_problems"), benchmark_problems(profile, each.source)
        )
        for each in found
    }
    return [
        _evaluated(benchmark, subject, sets[benchmark.name], recipes[benchmark.name], store, runtime, form)
        for benchmark in (each.benchmark for each in found)
    ]


def _recipe(each: Located, profile: Profile, limit: int | None) -> EvaluateRecipe:
    recipe = each.recipe(own_evaluation(profile))
    if limit is None:
        return recipe
    fewer = {domain: min(count, limit) for domain, count in recipe.ask.problems.items()}
    return recipe.model_copy(update={"ask": recipe.ask.model_copy(update={"problems": fewer})})


def _require_context(name: str, recipe: EvaluateRecipe, subject: Subject, turns: int) -> None:
    longest = recipe.ask.sampling.max_tokens
    if subject.context is not None and turns * longest >= subject.context:
        replies = (
            f"{turns} replies in a row have {longest} tokens each" if turns > 1 else f"a reply have {longest} tokens"
        )
        raise RecipeError(
            f"{name} lets {replies}, the context of {subject.label} is {subject.context}; lower "
            f'max_tokens in a TOML file of yours: like = "{name}"'
        )


def _evaluated(
    benchmark: NamedBenchmark,
    subject: Subject,
    problems: ProblemSet,
    recipe: EvaluateRecipe,
    store: Store,
    runtime: Runtime,
    form: TemplateName | None,
) -> BenchmarkResult:
    context = BuildContext(store, runtime, f"{benchmark.name}_answers/{subject.label}")
    if isinstance(subject.source, Checkpoint):
        answers = ask(context, subject.source, problems, recipe.ask)
    else:
        engine = _engine(subject, recipe)
        asked = {**dict(recipe.ask), "engine": engine, "model": subject.source, "template": form or benchmark.form}
        answers = ask_outside(context, problems, OutsideRecipe(**asked))
    context = BuildContext(store, runtime, f"{benchmark.name}/{subject.label}")
    return _result(benchmark, subject, evaluate(context, answers, problems, recipe))


def _engine(subject: Subject, recipe: EvaluateRecipe) -> object:
    """Returns the engine that samples: the profile's, or for a server what it says that it runs."""
    if isinstance(subject.source, ServedModel) and not isinstance(recipe.ask.engine, OpenAi):
        return OpenAi(runs="unstated")
    return recipe.ask.engine


def _result(benchmark: NamedBenchmark, subject: Subject, report: EvalReport) -> BenchmarkResult:
    found = scores_of(report)
    outcomes, row = found.overall.outcomes, benchmark.published
    every = sum(outcomes.values())
    columns = dict(zip(COLUMNS, row.scores, strict=True)) if row else {}
    return BenchmarkResult(
        benchmark=benchmark.name,
        model=subject.label,
        model_identity=found.identity.model_digest,
        template=found.identity.template,
        samples=found.identity.samples,
        metric=benchmark.metric,
        value=metric_value(found, benchmark.metric),
        scores=found.overall,
        groups=found.groups,
        judged=found.judged,
        truncated=outcomes.get(Outcome.TRUNCATED, 0) / every,
        unscored=sum(outcomes.get(outcome, 0) for outcome in UNSCORED) / every,
        dropped=dict(report.manifest.drops),
        paper=columns,
        note=benchmark.note,
        evaluation=str(report.path),
    )


def result_table(results: Sequence[BenchmarkResult]) -> Table:
    """Returns the scores of a model in percent, next to the paper's R1."""
    table = Table(
        "benchmark", "pass@1", "95%", "pass@k", "majority", "cut off", "tokens", "n", "by judges", "paper's R1"
    )
    for each in results:
        scores, k = each.scores, max(each.scores.pass_at_k)
        final = each.paper.get(COLUMNS[-1])
        table.add_row(
            each.benchmark,
            f"{100 * scores.pass_at_1:.1f}",
            f"{100 * scores.pass_at_1_ci.lo:.1f} to {100 * scores.pass_at_1_ci.hi:.1f}",
            f"{100 * scores.pass_at_k[k]:.1f} (k={k})",
            f"{100 * scores.cons_at_k:.1f}",
            f"{100 * each.truncated:.1f}",
            f"{scores.mean_tokens:,.0f}" if scores.tokens else "unknown",
            f"{scores.problems} x {each.samples}",
            _by_judges(each),
            f"{final:.1f}" if final is not None else "",
        )
    return table


def _by_judges(result: BenchmarkResult) -> str:
    """Returns the score that judges gave, such as `win_rate 61.2` in percent; empty if rules gave the verdicts."""
    if result.judged is None:
        return ""
    if result.judged.f_score is not None:
        return f"F-score {100 * result.judged.f_score:.1f}"
    return f"{result.metric} {result.value if result.metric == 'mean_grade' else 100 * result.value:.1f}"
