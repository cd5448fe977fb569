"""Prometheus metrics of the training, its node and its delivery: one port a node."""

from trainingjob_agent.exporter.metrics import SystemMetrics, TrainingMetrics, metrics_of
from trainingjob_agent.exporter.script_metrics import ScriptMetrics
from trainingjob_agent.exporter.server import Exporter, JobLabels

__all__ = [
    "Exporter",
    "JobLabels",
    "ScriptMetrics",
    "SystemMetrics",
    "TrainingMetrics",
    "metrics_of",
]
