"""What optimizer and scheduler are built with; another attempt may build them otherwise."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from trainingjob_trainer.options import OptionError

_Values = dict[str, Any]

_logger = logging.getLogger(__name__)


class Hyperparameters:
    """Puts in what has changed, after optimizer and scheduler were loaded with what they had.

    The state of an optimizer, and of a scheduler, brings back what it was built with: a learning
    rate, a weight decay, a number of steps. So a checkpoint holds that, too, to be compared.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        """Take the optimizer as it is built, before it has a scheduler."""
        self._optimizer = optimizer
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._scheduler: LRScheduler | None = None
        self._built: dict[str, Any] = {}

    def take(self, scheduler: LRScheduler) -> None:
        """Take the scheduler as it is built."""
        self._scheduler = scheduler
        groups = [
            {**_plain(group), "lr": float(rate)}
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True)
        ]
        state = scheduler.state_dict()
        inner = [_plain(one) for one in state.get("_schedulers", ())]
        self._built = {"groups": groups, "scheduler": _plain(state), "inner": inner}

    def state_dict(self) -> dict[str, Any]:
        """Return what was built."""
        return self._built

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put in what has changed since then, and say so.

        Raises:
            OptionError: it has changed in a scheduler inside of another one.
        """
        if state_dict["inner"] != self._built["inner"]:
            raise OptionError(
                "the schedule of the task was built with other values than that of the checkpoint: "
                f"{state_dict['inner']}, now {self._built['inner']}. Use the same ones, or another "
                "--checkpoint-dir"
            )
        groups = zip(
            self._optimizer.param_groups, state_dict["groups"], self._built["groups"], strict=True
        )
        for group, then, now in groups:
            for name in _changed(then, now, "optimizer"):
                scaled = name == "lr" and then["lr"]
                group[name] = group["lr"] * now["lr"] / then["lr"] if scaled else now[name]
        now = self._built["scheduler"]
        for name in _changed(state_dict["scheduler"], now, "scheduler"):
            setattr(self._scheduler, name, now[name])
        if isinstance(self._scheduler, LambdaLR):
            # Its rate is a function of the step, which may be another function now.
            step = self._scheduler.last_epoch
            rates = zip(self._scheduler.base_lrs, self._scheduler.lr_lambdas, strict=True)
            for group, (rate, factor) in zip(self._optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor(step)


def _changed(then: Mapping[str, Any], now: _Values, what: str) -> Iterator[str]:
    for name, value in now.items():
        if name in then and then[name] != value:
            _logger.warning("used from now on: %s %s %s → %s", what, name, then[name], value)
            yield name


def _plain(values: Mapping[str, Any]) -> _Values:
    """Return the numbers and texts of a state, and lists of such, but what is its own."""
    return {
        name: value
        for name, value in values.items()
        if _is_plain(value) and not name.startswith("_")
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(one, (int, float, str)) for one in value)
    return isinstance(value, (int, float, str))
