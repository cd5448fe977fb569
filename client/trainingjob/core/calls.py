"""How `tj` is called next, for messages: a line that can be copied."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calls:
    """Writes commands with the namespace and context that this call was given; None: by default."""

    namespace: str | None = None
    context: str | None = None

    def __call__(self, command: str, *words: str) -> str:
        """Write `tj COMMAND WORDS`."""
        place = [
            *(("--namespace", self.namespace) if self.namespace else ()),
            *(("--context", self.context) if self.context else ()),
        ]
        return " ".join(("tj", command, *words, *place))


BY_DEFAULT = Calls()
