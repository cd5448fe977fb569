from tests.support.nvml import driver, nvml_script
from tests.support.pod_process import job, mlflow_server, own_server, run_id, trainer

__all__ = ["driver", "job", "mlflow_server", "nvml_script", "own_server", "run_id", "trainer"]
