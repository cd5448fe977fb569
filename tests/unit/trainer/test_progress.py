"""What is counted in a training."""

import pytest
import torch
from trainingjob_trainer.progress import Means


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_epoch_in_any_precision_has_the_mean_of_its_batches(dtype: torch.dtype) -> None:
    """Sums of half precision would stand still at some hundred batches, or become infinite."""
    means = Means()
    for _ in range(2000):
        means.add({"loss": torch.tensor(2.5, dtype=dtype)}, 64)

    assert means.means() == {"loss": 2.5}
