"""Fits a line: PyTorch and MLflow as their tutorials have them."""

import time

import mlflow
import torch

x = torch.linspace(-1, 1, 64).unsqueeze(1)
y = 3 * x + 1
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with mlflow.start_run(run_name="line"):
    mlflow.log_param("lr", 0.1)
    for step in range(30):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        mlflow.log_metric("loss", loss.item(), step=step)
        time.sleep(0.1)
print(f"loss {loss.item():.4f}")
