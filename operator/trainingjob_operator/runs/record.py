"""One run as the tracking knows it: the intent, what MLflow confirmed, and the problem if any."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from trainingjob_operator.adapters.mlflow_rest import CONNECTION_FAILED, MlflowError, RunInfo
from trainingjob_operator.core import contract
from trainingjob_operator.core.conditions import NODES_NOT_JOINED
from trainingjob_operator.core.intent import RunIdentity, RunIntent, RunStatus, RunView
from trainingjob_operator.runs.steps import Steps

KEPT_METRICS = ("progress/", "train/", "val/")


@dataclass(slots=True)
class RunRecord:
    """The state of one job's run; `since` is when the intent changed or MLflow confirmed it.

    `new` says that no run of the job can exist yet, `answering_since` since when every poll of
    the run was answered, `unread` how many were not answered since. `held_up` counts the tries to
    write the tags of an end; `closed` says that no other run or model of the pods is open, None if
    that was not checked yet; `foreign` names runs that carry the job's uid and are not its own,
    `unjoined` is an agent's report about nodes that train without each other, `preparing` that of
    an initializer about its progress.
    """

    intent: RunIntent
    since: float
    info: RunInfo | None = None
    confirmed: RunStatus | None = None
    tags: tuple[tuple[str, str], ...] = ()
    problem: str | None = None
    missing: bool = False
    deleted: bool = False
    steps: Steps = field(default_factory=Steps)
    broken: bool = False
    new: bool = False
    answering_since: datetime | None = None
    unread: int = 0
    held_up: int = 0
    closed: bool | None = None
    foreign: str | None = None
    unjoined: str | None = None
    preparing: str = ""

    @property
    def settled(self) -> bool:
        """Whether MLflow confirmed the intent, or the run is deleted and cannot be updated."""
        if self.deleted and self.intent.replaces is None:
            return True
        confirmed = self.confirmed == self.intent.status and self.tags == self.intent.tags
        return self.problem is None and (self.missing or confirmed)

    @property
    def ended(self) -> bool:
        """Whether everything is written, except for tags that MLflow refuses."""
        if not self.intent.status.terminal:
            return False
        return self.settled or self.confirmed == self.intent.status

    def age(self, now: float) -> float:
        """The seconds since the intent changed or MLflow confirmed it."""
        return now - self.since

    def view(self) -> RunView:
        """The view that decide() gets."""
        metrics = self.info.metrics if self.info else {}
        since = self.answering_since
        return RunView(
            identity=self._identity(),
            status=self.confirmed,
            closed=bool(self.closed) or self.missing,
            problem=self.problem,
            missing=self.missing,
            deleted=self.deleted,
            metrics=tuple(metrics.items()),
            steps=self.steps.view(since) if since and self.intent.watch else None,
            foreign=self.foreign,
            unjoined=self.unjoined,
            preparing=self.preparing,
        )

    def _identity(self) -> RunIdentity | None:
        if self.info is None:
            return None
        return RunIdentity(self.info.experiment_id, self.info.run_id)

    def change(self, intent: RunIntent, now: float) -> None:
        """Take a new intent; one that replaces the run forgets it."""
        if intent.replaces is not None and self.info and self.info.run_id == intent.replaces:
            self.info, self.confirmed, self.tags = None, None, ()
            self.steps = Steps()
        if intent.status != self.intent.status:
            self.held_up, self.closed = 0, None
        self.intent = intent
        self.since = now
        self.missing = False

    def was_made(self, intent: RunIntent) -> None:
        """MLflow has created the run, with the intent's tags and a status yet unconfirmed."""
        self.problem = None
        self.tags = intent.tags

    def confirm(self, intent: RunIntent, info: RunInfo | None, now: float) -> None:
        """MLflow answered that the run is as `intent` says, or that there is none."""
        self.problem = None
        self.deleted = False
        self.broken = False
        self.missing = info is None
        self.since = now
        if info is not None:
            # The answer to a status carries no tags and metrics: keep those known before.
            metrics = self.info.metrics if self.info else {}
            self.info = replace(info, tags={}, metrics=metrics)
            self.confirmed = intent.status
            self.tags = intent.tags

    def was_deleted(self, message: str) -> None:
        """Somebody deleted the run: it cannot be updated until it is restored."""
        self.deleted, self.problem = True, message

    def was_restored(self, info: RunInfo) -> None:
        """The run is back, with whatever status it had."""
        self.deleted, self.problem = False, None
        self.drifted(info)

    def failed(self, error: MlflowError) -> bool:
        """Note a failed call; return whether it is a problem to report.

        A single broken connection is none: a server closes idle connections, which the client
        notices only at the next call.
        """
        again, self.broken = self.broken, error.code == CONNECTION_FAILED
        if self.broken and not again and self.problem is None:
            return False
        self.problem = str(error)
        return True

    def was_read(self, now: datetime) -> None:
        """A poll of the run was answered."""
        self.answering_since = self.answering_since or now
        self.unread = 0

    def was_not_read(self) -> None:
        """A poll of the run was not answered: its steps since then are not known either."""
        self.answering_since = None
        self.unread += 1

    def drifted(self, info: RunInfo) -> None:
        """Another writer changed the status."""
        self.info = replace(info, tags={}, metrics={})
        self.confirmed = None

    def recovered(self) -> bool:
        """MLflow answers again; return whether nothing is left to write, so the problem is over.

        If something is left, only the next write shows whether MLflow accepts it.
        """
        if self.confirmed == self.intent.status and self.tags == self.intent.tags:
            self.problem = None
        return self.problem is None

    def take_warning(self, tags: dict[str, str]) -> bool:
        """Keep what an agent reports about the nodes; return whether that is new."""
        reason, _, message = tags.get(contract.TAG_WARNING, "").partition(": ")
        if reason != NODES_NOT_JOINED or message == self.unjoined:
            return False
        self.unjoined = message
        return True

    def take_preparing(self, tags: dict[str, str]) -> bool:
        """Keep how far an initializer reports to be; return whether that is new."""
        before, self.preparing = self.preparing, tags.get(contract.TAG_PREPARING, "")
        return self.preparing != before

    def take_metrics(self, metrics: dict[str, float]) -> bool:
        """Keep the metrics that the status shows; return whether the progress changed."""
        if self.info is None:
            return False
        kept = {name: value for name, value in metrics.items() if name.startswith(KEPT_METRICS)}
        before = self.info.metrics.get(contract.METRIC_PERCENTAGE)
        self.info = replace(self.info, metrics=kept)
        return kept.get(contract.METRIC_PERCENTAGE) != before
