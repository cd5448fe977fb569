"""How the values of options are read from text; each raises ArgumentTypeError or ValueError."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepRange:
    """The steps from `first` to `last`, both of them too."""

    first: int
    last: int

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.first}:{self.last}"

    def __contains__(self, step: int) -> bool:
        """Whether a step is one of these."""
        return self.first <= step <= self.last


def integer(minimum: int) -> Callable[[str], int]:
    """Read an integer of at least `minimum`."""

    def parse(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}, not {value}")
        return value

    return parse


def number(*, zero: bool) -> Callable[[str], float]:
    """Read a finite number above 0, or `zero` too."""

    def parse(text: str) -> float:
        value = float(text)
        if not 0 <= value < float("inf") or (value == 0 and not zero):
            limit = "at least 0" if zero else "above 0"
            raise argparse.ArgumentTypeError(f"must be a number {limit}, not {text}")
        return value

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Read one of some words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(choices)}, not {text!r}")
        return text

    return parse


def boolean(text: str) -> bool:
    """Read true or false."""
    return one_of("true", "false")(text.lower()) == "true"


def step_range(text: str) -> StepRange:
    """Read two steps, such as 10:15."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"must be two steps such as 10:15, not {text!r}")
    return StepRange(int(found[1]), int(found[2]))


def model_name(text: str) -> str:
    """Read the name of a registered model, as MLflow takes it."""
    if not text or "/" in text or ":" in text:
        raise argparse.ArgumentTypeError(f"must be a name without / and :, not {text!r}")
    return text
