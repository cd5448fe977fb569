"""Shared by loops that survive errors: which errors are bugs, and how long to wait."""

import random
from collections.abc import Callable

Uniform = Callable[[float, float], float]

# Errors that a network never raises: they deserve a traceback, an outage only a line.
BUGS = (AttributeError, LookupError, TypeError)


def spread(seconds: float, least: float, most: float) -> float:
    """A random time between two multiples of `seconds`, to spread retries of common failures."""
    return seconds * random.uniform(least, most)  # noqa: S311 - not a secret


def back_off(failures: int, base: float, most: float, uniform: Uniform = random.uniform) -> float:
    """The seconds before the next try: doubled with each failure in a row, and spread."""
    ceiling = min(most, base * 2.0 ** min(failures, 20))
    return uniform(ceiling / 2, ceiling)
