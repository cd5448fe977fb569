"""A user's script that opens runs in all ways, and prints their ids."""

import mlflow

with mlflow.start_run(run_name="search") as run:
    print("run", run.info.run_id)
    with mlflow.start_run(run_name="trial", nested=True) as trial:
        mlflow.log_metric("loss", 0.4)
        print("nested", trial.info.run_id)
mlflow.log_metric("evaluated", 1)  # as Transformers does it after the end of the training
print("again", mlflow.active_run().info.run_id)  # type: ignore[union-attr]  # it is open
mlflow.end_run()
with mlflow.start_run(run_name="another") as another:
    print("further", another.info.run_id)
