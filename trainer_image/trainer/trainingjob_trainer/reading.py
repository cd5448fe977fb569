"""How the values of options are read from text; each raises ArgumentTypeError or ValueError."""

import argparse
from collections.abc import Callable


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
