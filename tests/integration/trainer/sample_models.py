"""Models and batches of which samples are drawn, and what drawing must leave as it was."""

import random
from typing import Any

import numpy as np
import torch
from torch import nn
from trainingjob_trainer.samples import sample_errors


class Classifier(nn.Module):
    """Any number of channels and any size; its dropout draws random numbers when training."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm1d(2).eval()
        self.body = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1)
        features = torch.stack([flat.mean(dim=1), flat.amax(dim=1)], dim=1)
        return self.body(self.frozen(features))  # type: ignore[no-any-return]  # torch's Module


class Answer(nn.Module):
    """Always says the same."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _images: torch.Tensor) -> torch.Tensor:
        return self.answer


class Upscaler(nn.Module):
    """Images twice as large, of any number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(images * self.gain, scale_factor=2)


def batch(*shape: int, **extra: object) -> dict[str, Any]:
    return {"image": torch.rand(*shape), "label": torch.zeros(shape[0]).long(), **extra}


def pair(*shape: int, **extra: object) -> dict[str, Any]:
    images = torch.rand(*shape)
    return {"image": images, "target": nn.functional.interpolate(images, scale_factor=2), **extra}


def errors() -> float:
    counted: float = sample_errors._value.get()
    return counted


def state(model: nn.Module) -> dict[str, object]:
    return {
        "modes": [module.training for module in model.modules()],
        "gradients": [p.grad for p in model.parameters()],
        "weights": [tensor.tolist() for tensor in model.state_dict().values()],
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False)["state"]["key"].tolist(),
    }
