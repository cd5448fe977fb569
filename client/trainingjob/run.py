"""A job that was started, wherever it runs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

from trainingjob.core import functions
from trainingjob.core import job as jobs
from trainingjob.core.job import Job
from trainingjob.errors import JobFailed, UserError

Rank = int | Literal["all"]


class Run(ABC):
    """One TrainingJob and its MLflow run."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __repr__(self) -> str:
        return f"<Run {self._job.namespace}/{self.name}: {self._job.state}>"

    @property
    def name(self) -> str:
        """Name of the TrainingJob."""
        return self._job.name

    @property
    def state(self) -> str:
        """State as of the last `refresh` or `wait`, such as `Running`; `Unseen` at first."""
        return self._job.state

    @property
    def mlflow_run_id(self) -> str | None:
        """Id of the MLflow run; None until the operator has made it."""
        return self._known_run().run_id

    @property
    def url(self) -> str | None:
        """Page of the run in the MLflow UI; None until there is one."""
        return self._known_run().run_url

    @property
    def metrics(self) -> dict[str, float]:
        """Latest main training metrics as of the last `refresh` or `wait`."""
        return dict(self._job.progress.metrics)

    def refresh(self) -> "Run":
        """Read the job anew; returns itself.

        Raises:
            UserError: it is gone, or the server does not answer.
        """
        self._job = self._read()
        return self

    def wait(self, timeout_seconds: float | None = None) -> "Run":
        """Wait until the job has succeeded; returns itself.

        Raises:
            JobFailed: it failed, with the cause, or was stopped.
            TimeoutError: it has not ended in time.
            UserError: it was deleted, or the server does not answer.
        """
        self._job = self._wait(timeout_seconds)
        failure = self._job.failure
        if self._job.state != jobs.SUCCEEDED:
            raise JobFailed(
                self.name,
                failure.reason if failure else self._job.state,
                failure.message if failure else "",
                rank=failure.rank if failure else None,
                frame=failure.frame if failure else None,
                exit_code=self._job.exit_code,
            )
        return self

    def result(self) -> Any:
        """Wait for the end, and return what the function of the job returned.

        Raises:
            JobFailed: the job failed.
            UserError: the job runs no function, or MLflow does not answer.
        """
        self.wait()
        text = self._result()
        if text is None:
            raise UserError(
                f"the run of {self.name} has no result",
                "results are kept of functions that were submitted, where MLflow's client is "
                "installed beside them; the job's logs say more",
            )
        return functions.result(text)

    @abstractmethod
    def logs(
        self, rank: Rank = "all", attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[str]:
        """The lines of the job's output, oldest first; with `follow` to the job's end.

        `rank` is that of a node, which has one output for all of its processes.

        Raises:
            UserError: the API server or MLflow does not answer, or refuses.
        """

    @abstractmethod
    def suspend(self) -> None:
        """Stop the pods by SIGTERM; the job stays and can be resumed."""

    @abstractmethod
    def resume(self) -> None:
        """Start the next attempt of a suspended job."""

    @abstractmethod
    def stop(self) -> None:
        """End the job for good: it becomes Stopped and its run KILLED; `logs` and `state` stay."""

    @abstractmethod
    def delete(self) -> None:
        """Delete the job; a run that has not ended becomes KILLED."""

    @abstractmethod
    def _read(self) -> Job:
        """The job as it is now."""

    @abstractmethod
    def _wait(self, timeout_seconds: float | None) -> Job:
        """The job at its end."""

    @abstractmethod
    def _result(self) -> str | None:
        """What pod/calling.py has left in the run; None if it has left nothing."""

    def _known_run(self) -> Job:
        """The job, read anew where it had no run yet."""
        if self._job.run_id is None:
            self.refresh()
        return self._job
