"""A loop of plain PyTorch, as people write it: what a step of the trainer is compared with."""

import torch
from torch.nn import functional
from trainingjob_agent.contract import Contract
from trainingjob_trainer.distributed import limit_threads

from tests.bench.stepping import work

limit_threads(Contract())
torch.manual_seed(0)
model = work.build_model()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for batch in work.TimedBatches():
    optimizer.zero_grad(set_to_none=True)
    loss = functional.mse_loss(model(batch), batch)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    optimizer.step()
