"""A user's search for the best setting: each trial is a nested run, with a file and parameters."""

import sys

import mlflow

with mlflow.start_run():
    for trial in ("before", "during", "after"):
        with mlflow.start_run(nested=True, run_name=trial):
            mlflow.log_params({"lr": 0.1})
            for step in range(3):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            print(trial, flush=True)
            sys.stdin.readline()  # the server goes away in the first one, and is back in the second
            mlflow.log_metrics({"loss": 0.1, "accuracy": 0.9}, step=3)
            mlflow.set_tag("trial", trial)
            mlflow.log_text(trial, "notes/name.txt")
            with mlflow.start_run(nested=True, run_name=f"{trial}, once more"):
                mlflow.log_metric("loss", 0.05)
    mlflow.log_metric("best", 0.05)
print("done", flush=True)
