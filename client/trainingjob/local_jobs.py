"""Jobs of this machine from Python: `Client(local=True)`."""

import threading
import time
from collections.abc import Iterator

from trainingjob import local
from trainingjob.adapters.tracking import KeptRun
from trainingjob.core import functions
from trainingjob.core import job as jobs
from trainingjob.core.job import Job
from trainingjob.core.local import NAMESPACE
from trainingjob.errors import UserError
from trainingjob.run import Rank, Run

_RUNNING = "Running"
_POLL_SECONDS = 0.2


class LocalRun(Run):
    """A command that a thread runs to its end; its output is kept in a file beside the runs."""

    def __init__(self, started: local.Started) -> None:
        """Start it.

        Raises:
            UserError: the agent or MLflow is not installed here, or the server does not answer.
        """
        super().__init__(_job(started.name))
        self._output = started.workdir / local.STORE / f"{started.name}.log"
        self._process: local.Process | None = None
        self._kept: str | None = None
        self._error: UserError | None = None
        self._begun, self._ended = threading.Event(), threading.Event()
        # No daemon: a program that has come to its end waits until the run has, too.
        follow = threading.Thread(target=self._follow, args=(started,), name=started.name)
        follow.start()
        self._begun.wait()
        self._raise_error()

    def logs(
        self, rank: Rank = "all", attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[str]:
        """As of `Run`; there is one rank and one attempt."""
        if rank not in ("all", 0) or attempt not in (None, 1):
            return
        with self._output.open(errors="replace") as file:
            rest = ""
            while True:
                over = self._ended.is_set() or not follow
                while line := file.readline():
                    rest += line
                    if rest.endswith("\n"):
                        yield rest.rstrip("\n")
                        rest = ""
                if over:
                    break
                time.sleep(_POLL_SECONDS)
            if rest:
                yield rest

    def suspend(self) -> None:
        """Refused.

        Raises:
            UserError: always.
        """
        raise UserError("a job of this machine cannot be suspended", "stop() ends it")

    def resume(self) -> None:
        """Refused.

        Raises:
            UserError: always.
        """
        raise UserError("a job of this machine is never suspended")

    def stop(self) -> None:
        """End it by SIGTERM; its run becomes KILLED."""
        if self._process is not None:
            self._process.terminate()

    def delete(self) -> None:
        """As `stop`."""
        self.stop()

    def _read(self) -> Job:
        self._raise_error()
        if not self._ended.is_set():
            job = self._job
            metrics = KeptRun(job.run_id or "", job.tracking_uri).metrics()
            return _job(self.name, run=(job.run_id, job.tracking_uri), metrics=metrics)
        return self._job

    def _wait(self, timeout_seconds: float | None) -> Job:
        if not self._ended.wait(timeout_seconds):
            raise TimeoutError(f"{self.name} has not ended within {timeout_seconds:g} s")
        self._raise_error()
        return self._job

    def _result(self) -> str | None:
        return self._kept

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _follow(self, started: local.Started) -> None:
        """Run it, and read what the run keeps before a server of our own ends."""
        try:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            with (
                local.serving(started.workdir) as uri,
                local.Process(started, uri) as process,
                self._output.open("wb") as output,
            ):
                process.start(output)
                self._process = process
                run = (process.run_id, uri)
                self._job = _job(self.name, run=run)
                self._begun.set()
                ended = process.wait()
                kept = KeptRun(process.run_id, uri)
                self._kept = kept.text(functions.RESULT)
                self._job = _job(self.name, run=run, metrics=kept.metrics(), ended=ended)
        except UserError as error:
            # `_raise_error` raises it, in the caller's thread.
            self._error = error
        finally:
            self._begun.set()
            self._ended.set()


def _state(ended: local.Ended | None) -> str:
    """As of a job of a cluster: what was ended from here has no failure."""
    if ended is None:
        return _RUNNING
    if ended.exit_code == 0:
        return jobs.SUCCEEDED
    return jobs.FAILED if ended.failure else jobs.STOPPED


def _job(
    name: str,
    *,
    run: tuple[str | None, str | None] = (None, None),
    metrics: dict[str, float] | None = None,
    ended: local.Ended | None = None,
) -> Job:
    """It as the API server would give it."""
    run_id, uri = run
    status = {
        "state": _state(ended),
        "attempt": 1,
        "mlflow": {"runId": run_id, "trackingUri": uri},
        "progress": {"metrics": metrics or {}},
        "failure": ended.failure if ended else {},
        "attempts": [{"attempt": 1, "exitCode": ended.exit_code}] if ended else [],
    }
    metadata = {"name": name, "namespace": NAMESPACE}
    return jobs.read({"metadata": metadata, "status": status})
