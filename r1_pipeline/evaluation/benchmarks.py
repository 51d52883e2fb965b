"""Benchmarks are data: a TOML file each, which says where the problems are, how they are asked, and what the paper has.

    title = "GSM8K"                              # and about, origin, licence, use, obtain, paper, note
    path = "gsm8k.parquet"                       # or hub, revision and files; or none: DATA/NAME.* is taken
    mapping = "gsm8k"                            # a shipped mapping, or a table
    problems = 1319                              # and digest: the pinned content
    samples = 1                                  # and temperature, top_p, max_tokens, limit, extract, metric, form

`like = "gsm8k"` takes over the fields of a shipped benchmark; those of the file replace them. The shipped ones are in
`data/benchmarks`. Not covered: a benchmark in the graph (`profiles.benchmarks`), the command (`cli.evaluate`).
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, field_validator, model_validator

from r1_pipeline.data.ingest.declared import Pin, SourceRecipe, canonical_licence, fetch_from_hub, hash_files
from r1_pipeline.data.ingest.files import READERS, format_of
from r1_pipeline.data.ingest.mapping import AnyMapping, ProblemMapping, faults_of, load_mapping
from r1_pipeline.data.ingest.rendering import Expression
from r1_pipeline.data.ingest.reserved import SHIPPED
from r1_pipeline.data.ingest.rows import DroppedRow, digest_of_problems, read_source
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import RecipeError, RequirementError, SourceError, UnknownNameError
from r1_pipeline.evaluation.groups import GroupedBy
from r1_pipeline.evaluation.judge_table import JudgeTable, Metric, check_metric
from r1_pipeline.evaluation.paper import STAGE_TABLE, StageRow
from r1_pipeline.evaluation.runner import EvaluateRecipe
from r1_pipeline.generation.judge_protocol import TURN
from r1_pipeline.records import Record
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.verifier import MODEL_JUDGES

FOLDER = "benchmarks"
"""The folder of a home, or next to a recipe file, whose benchmarks belong to the graph; it also has their data."""
_NAME = re.compile("[a-z][a-z0-9_]*")


def _in_the_paper(name: str) -> str:
    if name not in (row.benchmark for row in STAGE_TABLE):
        raise ValueError(f"the paper has no row {name!r}; it has {', '.join(row.benchmark for row in STAGE_TABLE)}")
    return name


class NamedBenchmark(Record):
    """The content of a benchmark's TOML file."""

    name: str
    """The name of the file without its ending."""
    folder: Path | None = Field(exclude=True)
    """The folder of the file; None for a shipped one."""
    title: str
    about: str
    origin: str
    """The place of publication, with the commit where there is one."""
    licence: Annotated[str, AfterValidator(canonical_licence)]
    use: Literal["evaluate", "train"] = "evaluate"
    """`evaluate` for sets that must not be a training source; either is screened out of training data."""
    canary: Annotated[str, Field(min_length=16)] | None = None
    """The string in its data by which it is recognized; a training text that holds it is dropped or refused."""
    obtain: str = ""
    """The way to get the data, in one line."""
    gated: bool = False
    """True if its publisher gives access on request only."""
    lacks: str | None = None
    """The part that this project lacks to score it; None if it can be scored."""
    path: str | None = None
    """A file, relative to the TOML file."""
    hub: str | None = None
    """A data set of the Hugging Face Hub, with `revision` (a commit) and the exact names of its `files`."""
    revision: str | None = None
    files: tuple[str, ...] = ()
    mapping: str | ProblemMapping | None = None
    """A shipped mapping, a file relative to the TOML file, or a table; None if none is known."""
    where: Expression | None = None
    """A condition on the rows of the files, such as `task_id > 10`; others are left out."""
    digest: str | None = None
    """The digest of its problems; None for a data set of the Hub, whose commit pins it."""
    problems: Annotated[int, Field(gt=0)] | None = None
    """The number of problems, without repeated ones and those whose reference fails its own verifier."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """The number of problems that are asked, drawn by the hash of their ids; None for all."""
    samples: Annotated[int, Field(gt=0)] = 1
    """The number of completions for each problem."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    """The sampling temperature; None for that of the profile's own evaluation, as for the next two."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    extract: Rule = "lenient"
    """The extraction rule; for instructions, `strict` or `lenient` (loose)."""
    form: TemplateName = "own_boxed"
    """The prompt form for models from outside; a checkpoint of the graph is asked in its own."""
    judge: JudgeTable | None = None
    """The judges, for replies that no rule can compare."""
    metric: Metric = "pass_at_1"
    """The score that is compared with the paper's."""
    paper: Annotated[str, AfterValidator(_in_the_paper)] | None = None
    """The row of the paper's table 3 (`evaluation.paper`)."""
    note: str = ""
    """The difference between this protocol and the published one, in words."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: lower case, digits and _; rename the file")
        return name

    @model_validator(mode="after")
    def _gives_its_metric(self) -> "NamedBenchmark":
        check_metric(self.metric, self.judge)
        return self

    @property
    def published(self) -> StageRow | None:
        """The paper's row, through the stages."""
        return next((row for row in STAGE_TABLE if row.benchmark == self.paper), None)


_ADAPTER = TypeAdapter(NamedBenchmark)


def shipped_benchmarks() -> list[str]:
    """Returns the names of the benchmarks that ship with the project, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def load_benchmark(name: str, folder: Path | None = None) -> NamedBenchmark:
    """Returns a benchmark: a `.toml` file, one of `folder`, or a shipped one, in this order.

    Raises `UnknownNameError` with the valid names, or `RecipeError` with the file and the field.
    """
    own = sorted(path.stem for path in folder.glob("*.toml")) if folder else []
    if name.endswith(".toml"):
        return _read(Path(name))
    if folder and name in own:
        return _read(folder / f"{name}.toml")
    if name not in shipped_benchmarks():
        raise UnknownNameError("benchmark", name, [*own, *shipped_benchmarks(), "a .toml file"])
    return _validated({**_shipped(name), "name": name, "folder": None}, name)


def benchmarks_in(folder: Path) -> list[NamedBenchmark]:
    """Returns the benchmarks of a folder by name; raises `RecipeError` for a bad one."""
    return [_read(path) for path in sorted(folder.glob("*.toml"))]


def _shipped(name: str) -> dict[str, Any]:
    return tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))


def _read(path: Path) -> NamedBenchmark:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8").removeprefix("\ufeff"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the benchmark {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    if (like := raw.pop("like", None)) is not None:
        if like not in shipped_benchmarks():
            raise RecipeError(f"{path}: like: {UnknownNameError('shipped benchmark', like, shipped_benchmarks())}")
        raw = {**_shipped(like), **raw}
    return _validated({**raw, "name": path.stem, "folder": path.parent}, str(path))


def _validated(raw: dict[str, Any], where: str) -> NamedBenchmark:
    try:
        return _ADAPTER.validate_python(raw)
    except ValidationError as error:
        raise RecipeError(f"{where}: {'; '.join(faults_of(error))}") from error


@dataclass(frozen=True)
class Located:
    """A benchmark whose data is on this machine."""

    benchmark: NamedBenchmark
    source: SourceRecipe
    folder: Path
    """The folder of the source's files."""

    @property
    def conversation(self) -> bool:
        """True if its problems have further turns of the user's."""
        tests = self.source.mapping.tests if isinstance(self.source.mapping, ProblemMapping) else None
        return tests is not None and tests.kind == TURN

    def recipe(self, own: EvaluateRecipe) -> EvaluateRecipe:
        """Returns the recipe of its evaluations; `own` has the seed, the engine, and what the benchmark leaves open."""
        stated = self.benchmark.model_dump(include={"temperature", "top_p", "max_tokens"}, exclude_none=True)
        assert self.source.pin is not None
        asked = {
            "sampling": own.ask.sampling.model_copy(update=stated),
            "problems": {self.source.feeds: self.benchmark.limit or self.source.pin.problems},
            "samples": self.benchmark.samples,
        }
        counted: dict[str, Any] = {
            "ks": tuple(sorted({1, self.benchmark.samples})),
            "extract": self.benchmark.extract,
            "judge": self.benchmark.judge and self.benchmark.judge.recipe,
            "by": _groups(self.source.mapping),
        }
        return EvaluateRecipe(ask=own.ask.model_copy(update=asked), grade=own.grade.model_copy(update=counted))


def _groups(mapping: AnyMapping) -> tuple[GroupedBy, ...]:
    """Returns the properties that rows of the mapping differ in: those for which it has a template."""
    assert isinstance(mapping, ProblemMapping)
    language: tuple[GroupedBy, ...] = ("language",) if "{" in mapping.language else ()
    return (*language, "difficulty") if mapping.difficulty else language


def locate(benchmark: NamedBenchmark, data: Path) -> Located:
    """Finds the data of a benchmark: at its path, in the folder `data` as `NAME.*`, or on the Hub; hashes the files.

    Raises `RequirementError` for one that cannot be scored, whose data is not there, or that is gated, `SourceError`
    for files that cannot be read, and `RecipeError` for one that pins no content.
    """
    if benchmark.lacks is not None:
        raise RequirementError(f"{benchmark.name} cannot be scored here: it needs {benchmark.lacks}")
    if benchmark.mapping is None:
        raise RequirementError(
            f'{benchmark.name} has no mapping yet; write one in a TOML file: like = "{benchmark.name}"'
        )
    folder, names = _files_of(benchmark, data)
    mapping = benchmark.mapping
    if isinstance(mapping, str):
        loaded = load_mapping(mapping, benchmark.folder or Path())
        if not isinstance(loaded, ProblemMapping):
            raise RecipeError(f"{benchmark.name}: the mapping {mapping} makes a {loaded.makes}, not a problem")
        mapping = loaded
    if benchmark.where is not None:
        mapping = mapping.model_copy(update={"require": benchmark.where})
    if benchmark.judge is not None:
        mapping = _judged(benchmark, mapping)
    if mapping.domain == "general" and not (mapping.answer or mapping.verifier):
        raise RecipeError(
            f"{benchmark.name} has general prompts without a reference, so it has no score; name a verifier in "
            "its mapping"
        )
    source = SourceRecipe(
        name=benchmark.name,
        licence=benchmark.licence,
        origin=benchmark.origin,
        side="heldout",
        mapping=mapping,
        files=hash_files(folder, names),
        canary=benchmark.canary,
    )
    return Located(benchmark, source.model_copy(update={"pin": _pin(benchmark, source, folder)}), folder)


def _judged(benchmark: NamedBenchmark, mapping: ProblemMapping) -> ProblemMapping:
    """Returns the mapping of problems that judges compare; raises `RecipeError` if they have nothing to compare."""
    assert benchmark.judge is not None
    if mapping.domain != "general":
        raise RecipeError(f'{benchmark.name} is judged, and its mapping makes {mapping.domain}; set domain = "general"')
    if mapping.answer is None and benchmark.judge.protocol != "grade":
        raise RecipeError(
            f"{benchmark.name} is judged {benchmark.judge.protocol}, which compares with the reference; add answer to "
            "its mapping"
        )
    return mapping.model_copy(update={"verifier": MODEL_JUDGES[0]})


def _pin(benchmark: NamedBenchmark, source: SourceRecipe, folder: Path) -> Pin:
    if benchmark.digest is not None and benchmark.problems is not None:
        return Pin(digest=benchmark.digest, problems=benchmark.problems)
    made = read_source(source, folder)
    ids = {each.id for each in made if not isinstance(each, DroppedRow)}
    raise RecipeError(
        f"{benchmark.name} pins no content; its files make {len(ids)} problems, so add to its TOML file (for a shipped "
        f'one, to yours with like = "{benchmark.name}"): problems = {len(ids)} and digest = "{digest_of_problems(ids)}"'
    )


def has_data(benchmark: NamedBenchmark, data: Path) -> bool:
    """Returns True if a benchmark can be scored and its files are on this machine, outside of the Hub's cache."""
    if benchmark.lacks is not None or benchmark.mapping is None:
        return False
    return benchmark.path is not None or bool(_local(benchmark, data))


def _local(benchmark: NamedBenchmark, data: Path) -> list[Path]:
    """Returns the files `NAME.*` of a folder that are data."""
    return [path for path in sorted(data.glob(f"{benchmark.name}.*")) if format_of(path) in READERS]


def _files_of(benchmark: NamedBenchmark, data: Path) -> tuple[Path, list[str]]:
    """Returns the folder and the names of the files of a benchmark."""
    if benchmark.path is not None:
        path = (benchmark.folder or data) / benchmark.path
        if not path.is_file():
            raise SourceError(f"the benchmark {benchmark.name}: {path} does not exist; correct its path")
        return path.parent, [path.name]
    found = _local(benchmark, data)
    if len(found) > 1:
        raise SourceError(f"the benchmark {benchmark.name} has {' and '.join(map(str, found))}; remove one")
    if found:
        return data, [found[0].name]
    if benchmark.hub and benchmark.revision:
        return fetch_from_hub(benchmark.name, benchmark.hub, benchmark.revision, benchmark.files), list(benchmark.files)
    place = data / benchmark.name
    gate = ", after its publisher has granted access" if benchmark.gated else ""
    raise RequirementError(
        f"{benchmark.name} has no data here; put it at {place}.jsonl (or .csv, .parquet){gate}: {benchmark.obtain}"
    )
