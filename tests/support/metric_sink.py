"""Where a monitor of the tests logs to."""

from collections.abc import Mapping


class Sink:
    """Keeps what a monitor logs."""

    def __init__(self) -> None:
        self.logged: list[tuple[str | None, int, set[str]]] = []
        self.times: list[int | None] = []
        self.patience_seconds: list[float] = []
        self.tags: list[dict[str, str]] = []

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        *,
        step: int,
        timestamp_milliseconds: int | None = None,
        run_id: str | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        self.patience_seconds.append(patience_seconds)
        self.logged.append((run_id, step, set(metrics)))
        self.times.append(timestamp_milliseconds)
        if len(self.logged) == 2:
            raise ConnectionError("the second sample fails")

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.append(dict(tags))
