"""Prometheus metrics of the training, its node and its delivery: one port a node."""

from trainingjob_trainer.exporter.metrics import SystemMetrics, TrainingMetrics
from trainingjob_trainer.exporter.server import Exporter, JobLabels

__all__ = ["Exporter", "JobLabels", "SystemMetrics", "TrainingMetrics"]
