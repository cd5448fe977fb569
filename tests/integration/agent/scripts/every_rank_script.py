"""A user's script for torchrun in which every rank logs, as it comes from one for a single GPU."""

import os

import mlflow

rank = int(os.environ["RANK"])
with mlflow.start_run():
    mlflow.log_params({"batch_size": 32, "seed": 1000 + rank})
    for step in range(3):
        mlflow.log_metric("loss", rank + step, step=step)
