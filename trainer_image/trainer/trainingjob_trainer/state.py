"""All that a checkpoint holds of a training, as parts that can say and take their state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Stateful(Protocol):
    """A part of a training: numbers, texts, tensors, lists and dicts say how it is."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Go on from a checkpoint."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The parts by their names in a checkpoint, in the order in which they are loaded.

    Attributes:
        setup: what the training is of; it is loaded before anything else is read.
        shared: what all ranks have alike, or each a shard of.
        own: what each rank has for itself.
    """

    setup: Stateful
    shared: Mapping[str, Stateful]
    own: Mapping[str, Stateful]

    def shared_states(self) -> dict[str, Any]:
        """Return the states of all that is shared."""
        return {"setup": self.setup.state_dict(), **_states_of(self.shared)}

    def own_states(self) -> dict[str, Any]:
        """Return the states of what this rank has for itself."""
        return _states_of(self.own)

    def load(self, shared: Mapping[str, Any], own: Mapping[str, Any] | None) -> None:
        """Load all parts; None: there was no such rank. A part without a state stays as it is."""
        for parts, states in ((self.shared, shared), (self.own, own or {})):
            for name, part in parts.items():
                if states.get(name):
                    part.load_state_dict(states[name])


def _states_of(parts: Mapping[str, Stateful]) -> dict[str, Any]:
    return {name: part.state_dict() for name, part in parts.items()}
