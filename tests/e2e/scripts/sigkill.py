import os
import signal

import mlflow

mlflow.start_run()
mlflow.log_metric("train/loss", 1.0, step=1)
os.kill(os.getpid(), signal.SIGKILL)
