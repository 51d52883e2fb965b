"""The experiment in MLflow: its kind, its description, and the view of training runs that links open.

A view is a tag of the experiment, which MLflow's page reads when its address names the view.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

EXPERIMENT = "r1-pipeline"
VIEW = "r1-training"
"""Name of the view in addresses."""
TRAINED = "metrics.learning_rate >= 0"
"""MLflow's query for the runs that trained a model: no other stage logs a learning rate."""
ORDER = "attributes.`start_time`"
"""MLflow's order of the view; with ticks, because its page folds all runs below their parents in its own order."""
COLUMNS = (
    *("attributes.`Models`", "attributes.`Dataset`"),
    *("metrics.`reward`", "metrics.`reward/accuracy`", "metrics.`mean_tokens`", "metrics.`loss`"),
    *("metrics.`final/tokens.trained`", "metrics.`seconds`", "tags.`r1.profile`"),
)
ABOUT = """\
The recipe of DeepSeek-R1, one run a stage. A run of `r1 run` is the parent of the stages that it computed.
Models are pointers to artifacts in the home; their versions are under *Model registry*, with the aliases `candidate`
and `champion`. The page of an asset in Dagster links to its run here; `r1 trace` follows a row to its sources."""
TAGS: Mapping[str, str] = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": ABOUT,
    f"mlflow.sharedViewState.{VIEW}": json.dumps(
        {
            "searchFilter": TRAINED,
            "orderByKey": ORDER,
            "orderByAsc": True,
            "selectedColumns": COLUMNS,
            "runsHiddenMode": "SHOW_ALL",
        }
    ),
}


def describe_experiment(client: "MlflowClient", experiment: "Experiment") -> None:
    """Sets the tags of an experiment that lacks them or has those of an older version."""
    for key, value in TAGS.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
