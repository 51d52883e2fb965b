"""Sampling turns problems into a model's completions, in shards that an interruption cannot lose.

`sample_and_store` writes `completions.parquet` and `asked.json`, an artifact of its own upstream of every evaluation
and every sampled corpus; it depends on no verifier, so a changed one grades what is stored and nothing is sampled
again. A finished shard stays in the draft's scratch folder and an interrupted run does not repeat it; seeds belong to
(problem, sample), so shards cannot change a completion.
Not covered: grading (`grade_completions`), what is then counted (`evaluation.scores`) or kept (`rejection`).
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from r1_pipeline.artifacts.atomic_write import write_atomically
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import ASKED, COMPLETIONS
from r1_pipeline.artifacts.tables import read_table, write_table
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.data.subset import shuffled
from r1_pipeline.data.templates import FORMS, StopRule, TemplateName, dialogue, split_reply, stops_in, template_hash
from r1_pipeline.engines import AnyEngine, Transformers
from r1_pipeline.generation.engine import SHARD, Engine, request_for, requests_for, sample_seed
from r1_pipeline.generation.ray_engine import RayEngine
from r1_pipeline.generation.tokens import ROWS, Room
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import DOMAINS, STORED, Completion, Domain, Problem, Record, Request, Sampling

if TYPE_CHECKING:
    import polars as pl


class Shard(Recipe):
    """A part of the selected problems: every `of`-th, starting with `index`."""

    index: int = Field(ge=0)
    of: int = Field(gt=0)


class SamplingRecipe(Recipe):
    """The recipe of sampling: the problems and the sampling parameters."""

    sampling: Sampling
    samples: int
    """Completions a problem."""
    problems: dict[Domain, int]
    """The maximum number of problems of each domain, drawn by the hash of their ids (`data.subset`)."""
    seed: int
    """The root of every sample's seed."""
    engine: Annotated[AnyEngine, AddedField()] = Transformers()
    """The engine that generates."""
    shard: Annotated[Shard | None, AddedField()] = None
    """The part of those problems that is sampled; None: all."""
    stop: Annotated[StopRule, AddedField()] = ()
    """The strings that end a reply, in addition to those of `sampling`; `form`: those of the model's prompt form."""

    def sampling_in(self, template: TemplateName) -> Sampling:
        """Returns the sampling of a model that is asked in this form, with all stop strings."""
        stops = dict.fromkeys([*self.sampling.stop, *stops_in(template, self.stop)])
        return self.sampling.model_copy(update={"stop": tuple(stops)})


class SamplingSubject(Record):
    """The model and the problems of a sampling run."""

    model: str
    """The asset key, with the partition after a slash."""
    model_digest: str
    problems_digest: str


class SamplingRecord(SamplingSubject):
    """The record of a sampling run: model, problems and parameters."""

    template: TemplateName
    template_hash: str
    sampling: Sampling
    samples: int
    """Completions a problem."""
    seed: int
    engine: str


def sample_and_store(
    engine: Engine,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: SamplingRecipe,
    subject: SamplingSubject,
    draft: Draft,
) -> "pl.DataFrame":
    """Samples for all `problems`, writes `completions.parquet` and `asked.json` into the draft, and returns the rows.

    Raises `EngineError` if the engine cannot generate.
    """
    record = SamplingRecord(
        **subject.model_dump(),
        template=template,
        template_hash=template_hash(template),
        sampling=recipe.sampling_in(template),
        samples=recipe.samples,
        seed=recipe.seed,
        engine=engine.identity,
    )
    completions = sample_completions(engine, problems, template, recipe, draft)
    completions = with_later_turns(completions, engine, problems, template, recipe, draft)
    write_table(draft.path / COMPLETIONS, completions)
    (draft.path / ASKED).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return completions


def select_problems(
    problems: Sequence[Problem], recipe: SamplingRecipe, draft: Draft, room: Room | None = None
) -> tuple[list[Problem], list[DroppedRow]]:
    """Draws the problems of `recipe`, domain by domain, among those that fit in `room`, and returns them; second, the
    rows that came up in the draw and do not fit.

    Without `room` all fit. A note says where there are fewer than the recipe requires.
    """
    chosen: list[Problem] = []
    unfit: list[DroppedRow] = []
    part = recipe.shard or Shard(index=0, of=1)
    for domain in sorted(recipe.problems, key=DOMAINS.order):
        count = recipe.problems[domain]
        found, dropped = _draw(shuffled(problem for problem in problems if problem.domain == domain), count, room)
        if len(found) < count:
            draft.note(f"{len(found)} problems in {domain}, {count} wanted")
        chosen += found[part.index :: part.of]
        unfit += dropped[part.index :: part.of]
    return chosen, unfit


def _draw(ordered: Sequence[Problem], count: int, room: Room | None) -> tuple[list[Problem], list[DroppedRow]]:
    """Returns the first `count` problems that fit in `room`, and the rows that were looked at and do not."""
    if room is None:
        return list(ordered[:count]), []
    found: list[Problem] = []
    unfit: list[DroppedRow] = []
    for start in itertools.chain([0], range(count, len(ordered), ROWS)):
        if len(found) == count:
            break
        kept, dropped = room.split(ordered[start : start + ROWS if start else count])
        found += kept
        unfit += dropped
    return found[:count], unfit


def sample_completions(
    engine: Engine,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: SamplingRecipe,
    draft: Draft,
    shard: int = SHARD,
) -> "pl.DataFrame":
    """Returns one row for each completion, problem by problem; the columns are the fields of `Completion`."""
    requests = requests_for(problems, template, recipe.samples, recipe.seed)
    return complete_requests(engine, requests, recipe.sampling_in(template), template, draft, shard)


def with_later_turns(
    completions: "pl.DataFrame",
    engine: Engine,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: SamplingRecipe,
    draft: Draft,
) -> "pl.DataFrame":
    """Returns the completions and, after them, those of the user's later turns, round by round.

    The reply to turn t of sample i has the index `t * samples + i`. The question of a turn is the dialogue so far, with
    the final parts of the replies; a reply without a final part is an empty line in it.
    """
    import polars as pl

    turns = {problem.id: [test.given for test in problem.tests if test.kind == "turn"] for problem in problems}
    said = {problem.id: problem.question for problem in problems}
    dialogues = {(id_, index): [said[id_]] for id_ in turns for index in range(recipe.samples)}
    rounds = [completions]
    for turn in range(1, max(map(len, turns.values()), default=0) + 1):
        requests = []
        for id_, before, text in rounds[-1].select("problem_id", "sample_index", "text").iter_rows():
            if len(turns[id_]) >= turn:
                index, sample = before + recipe.samples, before % recipe.samples
                dialogues[id_, sample] += [split_reply(template, text).final or "", turns[id_][turn - 1]]
                question, seed = dialogue(dialogues[id_, sample]), sample_seed(recipe.seed, id_, index)
                requests.append(request_for(template, question, id_, index, seed))
        sampling = recipe.sampling_in(template)
        rounds.append(complete_requests(engine, requests, sampling, template, draft, name=f"turn-{turn}"))
    return pl.concat(rounds)


def complete_requests(
    engine: Engine,
    requests: Sequence[Request],
    sampling: Sampling,
    template: TemplateName | None,
    draft: Draft,
    shard: int = SHARD,
    name: str = "answers",
) -> "pl.DataFrame":
    """Returns one row for each request, in order; requests that an interrupted run completed are not sent again.

    `name` is that of their shards. A stop string stays in a text if it is a tag of the prompt form.
    """
    import polars as pl

    shards = [requests[i : i + shard] for i in range(0, len(requests), shard)]
    paths = [draft.scratch / f"{name}-{index:05d}.parquet" for index in range(len(shards))]
    frames = {
        index: frame
        for index, (path, part) in enumerate(zip(paths, shards, strict=True))
        if (frame := _finished(path, part, draft)) is not None
    }
    missing = [index for index in range(len(shards)) if index not in frames]
    for at, completions in _complete_shards(engine, [shards[index] for index in missing], sampling):
        index = missing[at]
        rows = [_kept(completion, template, sampling.stop).model_dump() for completion in completions]
        frames[index] = pl.DataFrame(rows, schema=completion_schema())
        write_atomically(paths[index], partial(write_table, frame=frames[index]))
        draft.log(len(frames), len(shards), {**_progress(completions), **engine.usage()})
    return pl.concat([pl.DataFrame(schema=completion_schema()), *(frames[index] for index in range(len(shards)))])


def _complete_shards(
    engine: Engine, shards: Sequence[Sequence[Request]], sampling: Sampling
) -> Iterator[tuple[int, list[Completion]]]:
    """Yields the index and the completions of each shard as soon as it is done: sequentially, or in parallel on Ray."""
    if isinstance(engine, RayEngine):
        yield from engine.stream(shards, sampling)
    else:
        for index, part in enumerate(shards):
            yield index, engine.generate(part, sampling)


def _kept(said: Completion, template: TemplateName | None, stops: Sequence[str]) -> Completion:
    """Returns a completion without a stop string that is no tag of its form."""
    form = FORMS[template or "chat"]
    return said.model_copy(update={"text": form.ended(said.text, stops)}) if stops else said


def completion_schema() -> "dict[str, pl.DataType | type[pl.DataType]]":
    """Returns the columns of `sample_completions` with their types."""
    import polars as pl

    kinds: dict[str, pl.DataType | type[pl.DataType]] = {
        "sample_index": pl.Int64,
        "seed": pl.Int64,
        "token_ids": pl.List(pl.Int32),
    }
    return {name: kinds.get(name, pl.String) for name in STORED}


def _finished(path: Path, shard: Sequence[Request], draft: Draft) -> "pl.DataFrame | None":
    """Returns a shard sampled before an interruption; None, with a note, if it is damaged or has other requests."""
    from pyarrow import ArrowException

    if not path.exists():
        return None
    try:
        frame = read_table(path)
    except (OSError, ArrowException) as error:
        draft.note(f"{path.name} from an interrupted run is damaged ({error}); sampling it again")
        return None
    found = frame.select("problem_id", "sample_index", "seed").rows()
    if found != [(request.problem_id, request.sample_index, request.seed) for request in shard]:
        draft.note(f"{path.name} from an interrupted run answers other requests; sampling it again")
        return None
    return frame


def _progress(completions: Sequence[Completion]) -> dict[str, float]:
    return {
        "mean_tokens": sum(len(completion.token_ids) for completion in completions) / len(completions),
        "truncated": sum(completion.finish_reason == "length" for completion in completions) / len(completions),
    }
