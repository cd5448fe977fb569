"""What the MLflow run holds in the end, and what of it is missing."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from demo.follow import Sample

# SCHEDULED lasts for half a second where the images are there: two samples may miss it.
HISTORIES = (("SCHEDULED", "RUNNING", "FINISHED"), ("RUNNING", "FINISHED"))
EPOCH_METRIC = "val/loss"
SAMPLES = "samples/"
# What MLflow makes of the pictures for its slider.
SLIDER = "images/"


@dataclass(frozen=True)
class Evidence:
    """What was found in a run."""

    status: str
    system_points: int
    training_points: int
    epochs: int
    artifacts: tuple[str, ...]
    models: tuple[tuple[str, Any], ...]

    @property
    def pictures(self) -> tuple[str, ...]:
        """Paths of the sample pictures, one for each epoch."""
        return tuple(path for path in self.artifacts if path.startswith(SAMPLES))

    def missing(self) -> list[str]:
        """Return a sentence for each thing that a good run has and this one has not."""
        found = {
            f"the run is {self.status}, not FINISHED": self.status == "FINISHED",
            "the run has no system metrics": self.system_points > 0,
            "the run has no training metrics": self.training_points > 0,
            f"there are {len(self.pictures)} sample pictures for {self.epochs} epochs": (
                0 < self.epochs <= len(self.pictures)
            ),
            "the run has no model": bool(self.models),
            "a model has no signature": all(signature for _, signature in self.models),
        }
        return [sentence for sentence, present in found.items() if not present]


def artifact_paths(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    """Yield the paths of all files among a run's artifacts."""
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from artifact_paths(client, run_id, entry.path)
        else:
            yield entry.path


def collect(client: MlflowClient, run_id: str) -> Evidence:
    """Read from MLflow what a run holds (runs/get, metrics/get-history, artifacts/list)."""
    run = client.get_run(run_id)
    points = {key: len(client.get_metric_history(run_id, key)) for key in run.data.metrics}
    system = sum(count for key, count in points.items() if key.startswith("system/"))
    outputs = run.outputs.model_outputs if run.outputs else []
    models = tuple(
        (output.model_id, mlflow.models.get_model_info(f"models:/{output.model_id}").signature)
        for output in outputs
    )
    return Evidence(
        status=run.info.status,
        system_points=system,
        training_points=sum(points.values()) - system,
        epochs=points.get(EPOCH_METRIC, 0),
        artifacts=tuple(artifact_paths(client, run_id)),
        models=models,
    )


def download_pictures(
    client: MlflowClient, run_id: str, evidence: Evidence, into: Path
) -> list[Path]:
    """Download the sample pictures into a new directory and return their paths."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    return [
        Path(client.download_artifacts(run_id, picture, str(into))) for picture in evidence.pictures
    ]


def wrong_history(history: list[Sample]) -> list[str]:
    """Return a sentence if the run went through other statuses than a good run does."""
    statuses = tuple(sample.status for sample in history)
    return [] if statuses in HISTORIES else [f"the run's status went {' → '.join(statuses)}"]


def print_history(history: list[Sample]) -> None:
    """Print the statuses that the run went through, each with its time and how long it held."""
    print("\nStatus of the MLflow run")
    for sample, following in zip(history, [*history[1:], None], strict=True):
        held = f"  for {(following.time - sample.time).total_seconds():.1f} s" if following else ""
        print(f"  {sample.time:%H:%M:%S}  {sample.status:<10}{held}")


def print_evidence(evidence: Evidence, pictures: list[Path]) -> None:
    """Print what the run holds."""
    print("\nIn the MLflow run")
    print(f"  system metric points    {evidence.system_points}")
    print(f"  training metric points  {evidence.training_points}")
    for model_id, signature in evidence.models:
        print(f"  model {model_id}: {signature.inputs if signature else 'no signature'}")
    print(f"  artifacts               {len(evidence.artifacts)}")
    for path in evidence.artifacts:
        if not path.startswith(SLIDER):
            print(f"    {path}")
    slider = sum(path.startswith(SLIDER) for path in evidence.artifacts)
    print(f"    {SLIDER} with {slider} files for the step slider of MLflow's UI")
    print("\nSample pictures")
    for picture in pictures:
        print(f"  {picture}")
