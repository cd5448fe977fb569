"""A user's script with MLflow's fluent API and nothing else: no torch, no numpy. It fails."""

import importlib.util
import sys

import mlflow


def train(steps: int) -> None:
    for step in range(1, steps + 1):
        mlflow.log_metric("train/loss", 1 / step, step=step)
    raise ValueError(f"the loss is NaN in step {steps + 1}")


mlflow.log_params({"learning_rate": 0.05, "python": "{}.{}".format(*sys.version_info)})
mlflow.set_tag("torch", str(importlib.util.find_spec("torch")))
with mlflow.start_run(nested=True, run_name="part"):
    mlflow.log_metric("part/loss", 2.0)
train(3)
