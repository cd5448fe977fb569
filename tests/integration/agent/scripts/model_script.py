"""A user's script: it logs a file, a data set, a model and a tag of the model, all fluently."""

import sys

import mlflow
import numpy
from mlflow.data.numpy_dataset import from_numpy


def double(model_input: list[str]) -> list[str]:
    return [text * 2 for text in model_input]


with mlflow.start_run():
    mlflow.log_metric("loss", 0.5)
    print("started", flush=True)
    sys.stdin.readline()
    mlflow.log_text("words", "notes/words.txt")
    mlflow.log_input(from_numpy(numpy.zeros((2, 1)), name="zeros"), context="training")
    model = mlflow.pyfunc.log_model(
        name="double", python_model=double, pip_requirements=[], params={"factor": 2}
    )
    mlflow.set_logged_model_tags(model.model_id, {"stage": "candidate"})
    mlflow.log_metric("accuracy", 1, model_id=model.model_id)
print("logged", flush=True)
