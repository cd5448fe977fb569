"""What the page of the run shows about the job itself: user, source and command."""

import shlex

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import border, contract

# Characters of a tag's value that every release takes: MAX_TAG_VAL_LENGTH was 5000 once.
VALUE_LIMIT = 5000
# Those of the annotation that count: a name.
USER_LIMIT = 250


def tags(job: TrainingJob) -> dict[str, str]:
    """Tags that MLflow's own client would set for a script (mlflow.utils.mlflow_tags), and ours.

    They never change during the job's life, so they are set when the run is created. A tag of the
    user's with one of MLflow's names takes precedence.
    """
    spec = job.spec
    command = border.text(shlex.join((*spec.command, *spec.args)), VALUE_LIMIT)
    made = {
        "mlflow.user": border.text(
            job.metadata.annotations.get(contract.ANNOTATION_USER), USER_LIMIT
        ),
        "mlflow.source.name": command or spec.image,
        "mlflow.source.type": "JOB",
        **spec.mlflow.tags,
        contract.TAG_IMAGE: spec.image,
        contract.TAG_COMMAND: command,
    }
    return {name: value for name, value in made.items() if value or name in spec.mlflow.tags}
