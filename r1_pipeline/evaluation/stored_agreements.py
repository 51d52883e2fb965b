"""The agreements with outside graders that a home stores, one for each evaluation, where the report finds them."""

from pathlib import Path

from pydantic import ValidationError

from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.agreement import SecondOpinion

FOLDER = "agreements"
"""The folder of a home."""


def path_of(home: Path, evaluation: str) -> Path:
    """Returns the file of the agreement on an evaluation."""
    return home / FOLDER / f"{evaluation}.json"


def stored_agreement(home: Path, evaluation: str, digest: str) -> SecondOpinion | None:
    """Returns the agreement on exactly this version of an evaluation; None if there is none.

    Raises `ArtifactError` for a file that another version of this project wrote.
    """
    path = path_of(home, evaluation)
    if not path.is_file():
        return None
    try:
        found = SecondOpinion.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(
            f"{path} was written by another version; remove it, or run: r1 agree {evaluation}"
        ) from error
    return found if found.digest == digest else None
