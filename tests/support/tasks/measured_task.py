"""The tiny task with a metric of torchmetrics that is no mean over batches."""

import sys
from collections.abc import Mapping
from importlib import import_module

from torch import Tensor
from trainingjob_trainer.task import Batch, Metric

from tests.support.frameworks import FRAMEWORKS
from tests.support.tasks.tiny_task import TinyTask

sys.path.append(str(FRAMEWORKS))


class MeasuredTask(TinyTask):
    def build_metrics(self) -> Mapping[str, Metric]:
        found = import_module("torchmetrics.classification")
        return {"auroc": found.BinaryAUROC(), "f1": found.BinaryF1Score()}

    def measure(self, metrics: Mapping[str, Metric], output: Tensor, batch: Batch) -> None:
        for metric in metrics.values():
            metric.update(output.softmax(dim=1)[:, 1], batch["label"])
