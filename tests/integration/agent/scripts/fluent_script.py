"""A user's script: plain PyTorch with MLflow's fluent API. It knows nothing of the trainer."""

import sys

import mlflow
import torch

torch.manual_seed(0)
inputs = torch.randn(64, 1)
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

mlflow.log_param("learning_rate", 0.05)
for step in range(1, 4):
    loss = torch.nn.functional.mse_loss(model(inputs), 3 * inputs + 1)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    optimizer.step()
    mlflow.log_metric("train/loss", loss.item(), step=step)
    print("step", step)
sys.stderr.write("a progress bar\rwithout a newline at its end")
if "--wait" in sys.argv:
    sys.stderr.flush()
    sys.stdin.read()
