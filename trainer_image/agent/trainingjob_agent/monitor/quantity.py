"""What is measured: its name and unit for Prometheus, its name and unit in MLflow."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """How a value behaves. A counter only grows, until its process or driver starts again."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """One measured quantity, in base units; there is one object of each.

    Attributes:
        help: what it is, for people.
        prometheus: name of its Prometheus metric, without `_total`; empty if it has none.
        mlflow: name of its MLflow metric without the `system/` prefix, `{0}` standing for the first
            label; empty if it has none. Names that MLflow's own system metrics have are the same.
        factor: from the base unit to the unit of the MLflow metric.
        labels: names of the labels.
        kind: gauge or counter.
        basic: part of each sample in MLflow at the level `basic`, too.
        steady: seldom changes, such as a limit or a state; MLflow gets it when it does.
    """

    help: str
    prometheus: str = ""
    mlflow: str = ""
    factor: float = 1.0
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE
    basic: bool = False
    steady: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a quantity. One that is not fresh was read before and stands for now."""

    quantity: Quantity
    value: float
    labels: tuple[str, ...] = ()
    fresh: bool = True

    @property
    def mlflow_name(self) -> str:
        """Name in MLflow with its labels; empty if the quantity has none there."""
        return _name(self.quantity.mlflow, self.labels)

    @property
    def mlflow_value(self) -> float:
        """Value in the unit of the MLflow metric."""
        return round(self.value * self.quantity.factor, 3)


@lru_cache(maxsize=4096)
def _name(template: str, labels: tuple[str, ...]) -> str:
    return template.format(*map(_slug, labels))


def _slug(label: str) -> str:
    """MIG instance 1 of GPU 0, `0:1`, becomes `0_mig_1`; a path `/mnt/data` becomes `mnt_data`."""
    return label.strip("/").replace("/", "_").replace(":", "_mig_") or "root"
