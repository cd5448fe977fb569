"""One source of readings: opened and read in a thread of its own, with a time-out."""

from collections.abc import Callable, Mapping
from typing import Protocol

from trainingjob_agent.monitor.bounded import BoundedCall
from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.quantity import Reading


class Reader(Protocol):
    """Reads some quantities. Making it notes the counters of now."""

    def read(self) -> list[Reading]:
        """Read them now."""
        ...


class Together:
    """Readers of files that wait for no device: one thread wakes for all of them.

    A thread that wakes up costs as much as what one of them reads. Whatever one of them raises
    costs its own values only.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Reader]], errors: ErrorLog) -> None:
        """Make them; those that fail are made again when they are read."""
        self._makers = makers
        self._errors = errors
        self._readers: dict[str, Reader] = {}
        for name in makers:
            self._next(name)

    def read(self) -> list[Reading]:
        """Read all of them now."""
        return [reading for name in self._makers for reading in self._next(name)]

    def _next(self, name: str) -> list[Reading]:
        try:
            if name in self._readers:
                return self._readers[name].read()
            self._readers[name] = self._makers[name]()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this reader's only
            self._errors.note(name, repr(error))
        return []


class Source:
    """Whatever a reader raises, or never returns from, costs its own values only."""

    def __init__(self, name: str, make: Callable[[], Reader], errors: ErrorLog) -> None:
        """Prepare; the reader is made when first asked, and again as long as that fails."""
        self._name = name
        self._make = make
        self._errors = errors
        self._reader: Reader | None = None
        self._call = BoundedCall(name, self._next)

    def ask(self) -> None:
        """Begin to make the reader; once it is there, to read."""
        self._call.ask()

    def take(self, deadline_seconds: float) -> list[Reading]:
        """Return what was asked for; nothing where there is no answer in time, or an error."""
        return take(self._call, self._name, self._errors, deadline_seconds)

    def _next(self) -> list[Reading]:
        if self._reader is None:
            self._reader = self._make()
            return []
        return self._reader.read()


def take(
    call: BoundedCall[list[Reading]],
    source: str,
    errors: ErrorLog,
    deadline_seconds: float,
    silence: str = "no answer; values are missing until there is one",
) -> list[Reading]:
    """Return the answer of a call; nothing, and a note of why, where there is none in time."""
    try:
        readings = call.answer(deadline_seconds)
    except TimeoutError:
        errors.note(source, silence)
        return []
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this source's only
        errors.note(source, repr(error))
        return []
    errors.recovered(source, silence)
    return readings or []
