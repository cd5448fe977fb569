"""A training script without anything of ours: what the start of the trainer is compared with."""

import sys

import torch
from torch.nn import functional

from tests.bench.starting import mlp

if "--mlflow" in sys.argv:
    import mlflow

    mlflow.start_run()
    mlflow.log_params({"learning_rate": 0.001})

model = mlp.build_model()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for batch in mlp.loader(64):
    optimizer.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(model(batch["image"]), batch["label"])
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    optimizer.step()
    print("stepped", flush=True)
