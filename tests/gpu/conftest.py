"""A real GPU, a real MLflow server, and the trainer as its users start it. No cluster."""

import pytest

from tests.gpu.machine import Gpu, gpus, why_no_gpu
from tests.support.pod_process import mlflow_server, run_id, trainer

__all__ = ["mlflow_server", "run_id", "trainer"]


@pytest.fixture(scope="session")
def real_gpus() -> list[Gpu]:
    """All GPUs of the machine. Without one the checks fail: a skip would look like a success."""
    missing = why_no_gpu()
    if missing is not None:
        pytest.fail(missing)
    return gpus()
