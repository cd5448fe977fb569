"""A user's script: it logs a data set, a model and a tag of the model, each in a fluent way."""

import sys

import mlflow
import numpy


class Double(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no annotations here
    def predict(self, model_input: list[str]) -> list[str]:
        return [text * 2 for text in model_input]


with mlflow.start_run():
    mlflow.log_metric("loss", 0.5)
    print("started", flush=True)
    sys.stdin.readline()
    mlflow.log_input(mlflow.data.from_numpy(numpy.zeros((2, 1)), name="zeros"), context="training")
    model = mlflow.pyfunc.log_model(
        name="double", python_model=Double(), pip_requirements=[], params={"factor": 2}
    )
    mlflow.set_logged_model_tags(model.model_id, {"stage": "candidate"})
    mlflow.log_metric("accuracy", 1, model_id=model.model_id)
print("logged", flush=True)
