"""Text: a small language model on the documentation that Python carries, byte by byte."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import (
    Batch,
    DataRequest,
    DatasetVersion,
    Loaders,
    SampleFile,
    Task,
)

_BYTES = 256
_LAYERS = 4
_PROMPTS = 4
_WRITTEN = 120
_VALIDATION_WINDOWS = 256


class Windows(Dataset[Tensor]):
    """Pieces (length + 1,) of a text, one after the other."""

    def __init__(self, text: Tensor, length: int) -> None:
        self.text = text
        self.length = length

    def __len__(self) -> int:
        return (len(self.text) - 1) // self.length

    def __getitem__(self, index: int) -> Tensor:
        begin = index * self.length
        return self.text[begin : begin + self.length + 1]


class CausalConvolution(nn.Module):
    """A layer in which a byte knows `reach` places before its own, and none after."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, 2, dilation=reach)

    def forward(self, states: Tensor) -> Tensor:
        """Add what the earlier bytes say: (N, length, width) → the same."""
        padded = functional.pad(self.norm(states).transpose(1, 2), (self.reach, 0))
        return states + functional.gelu(self.convolution(padded)).transpose(1, 2)


class TextTask(Task):
    """Batches are tensors (N, length + 1) of bytes. Settings: that length; width of the model."""

    name = "text"

    def __init__(self, length: int = 64, width: int = 64) -> None:
        self.length = length
        self.width = width

    def build_model(self) -> nn.Module:
        """Causal convolutions that reach 15 bytes back, (N, length) → (N, length, 256)."""
        layers = [CausalConvolution(self.width, 2**layer) for layer in range(_LAYERS)]
        return nn.Sequential(
            nn.Embedding(_BYTES, self.width), *layers, nn.Linear(self.width, _BYTES)
        )

    def build_loaders(self, request: DataRequest) -> Loaders:
        """450,000 bytes; the last 256 windows are to validate by."""
        text = load_text()
        cut = len(text) - _VALIDATION_WINDOWS * self.length - 1
        train, validation = Windows(text[:cut], self.length), Windows(text[cut:], self.length)
        share = range(request.rank, len(validation), request.world_size)
        return Loaders(
            train=DataLoader(train, request.batch_size, sampler=ResumableSampler(train, request)),
            validation=DataLoader(torch.utils.data.Subset(validation, share), 64),
        )

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        """Score the byte after each byte."""
        scores: Tensor = model(batch[:, :-1])
        return scores

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the next byte."""
        return functional.cross_entropy(output.flatten(0, 1), batch[:, 1:].flatten())

    def count(self, batch: Batch) -> int:
        """Return the number of windows."""
        return len(batch)

    def tokens(self, batch: Batch) -> int:
        """Return the number of bytes that are scored."""
        return len(batch) * self.length

    def flops_per_sample(self) -> float:
        """Return two for each weight and byte, and twice as many for the way back."""
        weights = _LAYERS * 2 * self.width**2 + self.width * _BYTES
        return 6.0 * weights * self.length

    def metrics(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Share of bytes that are foreseen."""
        return {"accuracy": (output.argmax(dim=2) == batch[:, 1:]).float().mean()}

    def example(self, batch: Batch) -> Tensor:
        """Return the first windows."""
        windows: Tensor = batch[:_PROMPTS, :-1]
        return windows

    def draw_samples(self, model: nn.Module, batch: Batch, epoch: int) -> SampleFile:
        """Return the beginnings of some windows, and how the model goes on."""
        written = batch[:_PROMPTS, : self.length // 2]
        prompt = written.shape[1]
        for _ in range(_WRITTEN):
            scores = model(written[:, -self.length :])[:, -1]
            # Drawn, not the likeliest: that one repeats itself.
            following = torch.multinomial(scores.softmax(dim=1), 1)
            written = torch.cat([written, following], dim=1)
        texts = [
            f"{_readable(one[:prompt])}\n>>> {_readable(one[prompt:])}\n" for one in written.cpu()
        ]
        return SampleFile(".txt", f"Epoch {epoch}\n\n{chr(10).join(texts)}".encode())

    def datasets(self) -> Sequence[DatasetVersion]:
        """Return the module with the text, which each version of Python has its own of."""
        from pydoc_data import topics

        return [DatasetVersion.of_file("python-help", Path(topics.__file__))]


@cache
def load_text() -> Tensor:
    """Return the text of Python's topics of help (the module pydoc_data), one number a byte."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long()


def _readable(text: Tensor) -> str:
    return " ".join(bytes(text.tolist()).decode(errors="replace").split())
