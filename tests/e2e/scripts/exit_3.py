import sys

import mlflow

with mlflow.start_run():
    mlflow.log_metric("train/loss", 1.0, step=1)
print("the data set is empty", file=sys.stderr)
sys.exit(3)
