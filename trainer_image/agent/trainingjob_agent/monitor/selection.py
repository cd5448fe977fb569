"""Which values of a sample go to MLflow: a server keeps every point for good."""

from trainingjob_agent.contract import MonitorLevel
from trainingjob_agent.monitor.sample import SystemSample

BASIC_POINTS = 60
"""The most that a sample has at the level `basic`, on a node with up to eight GPUs."""


class Selection:
    """Selects by level, and takes of what seldom changes what has changed.

    At `basic` the changes wait for the next sample where a sample is full: first comes what had
    another value before.
    """

    def __init__(self, level: MonitorLevel) -> None:
        self._full = level == "full"
        self._logged: dict[str, float] = {}

    def of(self, sample: SystemSample) -> dict[str, float]:
        """Return values by their MLflow name, without the `system/` prefix."""
        selected: dict[str, float] = {}
        steady: dict[str, float] = {}
        for reading in sample.readings:
            if not reading.quantity.mlflow:
                continue
            if reading.quantity.steady:
                steady[reading.mlflow_name] = reading.mlflow_value
            elif reading.fresh and (self._full or reading.quantity.basic):
                selected[reading.mlflow_name] = reading.mlflow_value
        changed = [name for name, value in steady.items() if self._logged.get(name) != value]
        changed.sort(key=lambda name: name not in self._logged)
        room = len(changed) if self._full else max(0, BASIC_POINTS - len(selected))
        taken = {name: steady[name] for name in changed[:room]}
        self._logged.update(taken)
        return {**selected, **taken}
