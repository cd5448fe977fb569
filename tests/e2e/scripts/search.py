"""A search over settings: a run for each trial below the job's run; the pod dies in the third."""

import os
import signal

import mlflow

with mlflow.start_run():
    for trial in range(5):
        with mlflow.start_run(run_name=f"trial {trial}", nested=True):
            mlflow.log_param("trial", trial)
            mlflow.log_metric("loss", 1 / (trial + 1), step=1)
            if trial == 2:
                os.kill(os.getpid(), signal.SIGKILL)
