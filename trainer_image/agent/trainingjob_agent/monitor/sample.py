"""One sample of a node as a value."""

from dataclasses import dataclass

from trainingjob_agent.monitor.quantity import Reading


@dataclass(frozen=True, slots=True)
class SystemSample:
    """One node at one moment: all that could be read of it."""

    timestamp_milliseconds: int
    readings: tuple[Reading, ...]

    def mlflow_metrics(self) -> dict[str, float]:
        """Return fresh values by their MLflow name, without the `system/` prefix."""
        named = ((r.mlflow_name, r.mlflow_value) for r in self.readings if r.fresh)
        return {name: value for name, value in named if name}
