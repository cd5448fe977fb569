"""Image to image: takes the noise off the handwritten digits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import DataRequest, DatasetVersion, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask
from trainingjob_trainer.tasks.mnist import digits_file, load_digits

_VALIDATION_IMAGES = 1000


class NoisyImages(Dataset[ImageBatch]):
    """Images with noise of their own, the same in every epoch, and the images without it."""

    def __init__(self, images: Tensor, noise: float) -> None:
        self.images = images
        self.noise = noise

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> ImageBatch:
        clean = self.images[index]
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(clean.shape, generator=generator) * self.noise
        return {"image": clean + noise, "target": clean}


class Denoiser(nn.Module):
    """Says what the noise is, and takes it off: (N, 1, H, W) → (N, 1, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.noise = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Denoise."""
        cleaned: Tensor = images - self.noise(images)
        return cleaned


class DenoiseTask(ImageTask):
    """Its settings: standard deviation of the noise, on images in 0…1; channels of the model."""

    name = "mnist-denoise"

    def __init__(self, noise: float = 0.4, channels: int = 16) -> None:
        self.noise = noise
        self.channels = channels

    def build_model(self) -> nn.Module:
        """Three convolutions."""
        return Denoiser(self.channels)

    def build_loaders(self, request: DataRequest) -> Loaders:
        """4,000 images to train, 1,000 to validate; each rank gets its share of both."""
        # The file has the digits in order: every fifth image is one to validate by.
        images = load_digits().images
        chosen = torch.arange(len(images)) % (len(images) // _VALIDATION_IMAGES) == 0
        train = NoisyImages(images[~chosen], self.noise)
        share = images[chosen][request.rank :: request.world_size]
        return Loaders(
            train=DataLoader(train, request.batch_size, sampler=ResumableSampler(train, request)),
            validation=DataLoader(NoisyImages(share, self.noise), 250),
        )

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        """Mean squared error."""
        return functional.mse_loss(output, batch["target"])

    def metrics(self, output: Tensor, batch: ImageBatch) -> dict[str, Tensor]:
        """Peak signal-to-noise ratio in decibels, of a peak of 1."""
        return {"psnr": -10 * torch.log10(self.loss(output, batch))}

    def datasets(self) -> Sequence[DatasetVersion]:
        """Return the file of all digits."""
        return [DatasetVersion.of_file("mnist-5k", digits_file())]
