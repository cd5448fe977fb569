"""What loops share that go on after an error: which errors are bugs of ours, and their waits."""

import random

# What a network never raises: worth a traceback, where an outage is worth a line.
BUGS = (AttributeError, LookupError, TypeError)


def spread(seconds: float, least: float, most: float) -> float:
    """A random time between two multiples of `seconds`: what failed together comes back apart."""
    return seconds * random.uniform(least, most)  # noqa: S311 - not a secret


def back_off(failures: int, base: float, most: float) -> float:
    """The seconds before the next try: doubled with each failure in a row, and spread."""
    return spread(min(most, base * 2.0 ** min(failures, 20)), 0.5, 1.0)
