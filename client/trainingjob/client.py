"""TrainingJobs from Python: `Client().submit(...)`, and `Run`, a handle of one of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from trainingjob import following, logs, submission
from trainingjob.adapters.kube import Cluster
from trainingjob.adapters.tracking import KeptRun
from trainingjob.core import functions
from trainingjob.core import job as jobs
from trainingjob.core.job import Job
from trainingjob.core.manifests import Manifest, Request, from_yaml
from trainingjob.core.merging import Line
from trainingjob.core.naming import of_command
from trainingjob.core.pods import Selection
from trainingjob.errors import JobFailed, UserError

Rank = int | Literal["all"]


class Run:
    """One TrainingJob and its MLflow run."""

    def __init__(self, cluster: Cluster, job: Job) -> None:
        self._cluster = cluster
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
            UserError: it is gone, or the API server does not answer.
        """
        self._job = jobs.read(self._cluster.get(self.name))
        return self

    def wait(self, timeout_seconds: float | None = None) -> "Run":
        """Wait until the job has succeeded; returns itself.

        Raises:
            JobFailed: it failed, with the cause.
            TimeoutError: it has not ended in time.
            UserError: it was deleted, or the API server does not answer.
        """
        self._job = following.wait(self._cluster, self.name, timeout_seconds)
        failure = self._job.failure
        if self._job.state == jobs.FAILED:
            raise JobFailed(
                self.name,
                failure.reason if failure else jobs.FAILED,
                failure.message if failure else "",
                rank=failure.rank if failure else None,
                frame=failure.frame if failure else None,
                exit_code=self._job.exit_code,
            )
        return self

    def logs(
        self, rank: Rank = "all", attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[str]:
        """The lines of the job's output, oldest first; with `follow` to the job's end.

        `rank` is that of a node, which has one output for all of its processes.

        Raises:
            UserError: the API server or MLflow does not answer, or refuses.
        """
        selection = Selection(None if rank == "all" else rank, attempt)
        if follow:
            news = following.follow(self._cluster, self.name, selection)
            yield from (one.text for one in news if isinstance(one, Line))
        else:
            self.refresh()
            found = logs.read(self._cluster, self._job, selection)
            yield from (line.text for line in found)

    def result(self) -> Any:
        """Wait for the end, and return what the function of the job returned.

        Raises:
            JobFailed: the job failed.
            UserError: the job runs no function, or MLflow does not answer.
        """
        self.wait()
        files = KeptRun(self._job.run_id or "", self._job.tracking_uri)
        if functions.RESULT not in files.names(functions.RESULT_FOLDER):
            raise UserError(
                f"the run of {self.name} has no result",
                "results are kept of functions that were submitted, in images with MLflow's "
                f"client; {self._cluster.calls('logs', self.name)} says more",
            )
        return functions.result("\n".join(files.lines(functions.RESULT)))

    def suspend(self) -> None:
        """Stop the pods by SIGTERM; the job stays and can be resumed."""
        self._cluster.patch_spec(self.name, suspend=True)

    def resume(self) -> None:
        """Start the next attempt of a suspended job."""
        self._cluster.patch_spec(self.name, suspend=False)

    def delete(self) -> None:
        """Delete the job; a run that has not ended becomes KILLED."""
        self._cluster.delete(self.name)

    def _known_run(self) -> Job:
        """The job, read anew where it had no run yet."""
        if self._job.run_id is None:
            self.refresh()
        return self._job


class Client:
    """TrainingJobs of one namespace; logs in as kubectl does.

    Raises:
        UserError: there is no kubeconfig, or it has not the context.
    """

    def __init__(self, namespace: str | None = None, *, context: str | None = None) -> None:
        self._cluster = Cluster.connect(context, namespace)

    @property
    def namespace(self) -> str:
        """The namespace of all calls; by default that of the context."""
        return self._cluster.namespace

    def list(self, state: str | None = None) -> list[Run]:
        """The jobs, oldest first; with a state, such as `Running`, only those in it."""
        found = sorted(
            (jobs.read(body) for body in self._cluster.training_jobs()),
            key=lambda job: str(job.created),
        )
        return [Run(self._cluster, job) for job in found if state in (None, job.state)]

    def get(self, name: str) -> Run:
        """One job.

        Raises:
            UserError: there is none of this name.
        """
        return Run(self._cluster, jobs.read(self._cluster.get(name)))

    def submit(
        self,
        command: Sequence[str],
        *,
        image: str,
        name: str | None = None,
        workdir: Path | str | None = ".",
        nodes: int = 1,
        gpus: int = 0,
        cpu: str | None = None,
        memory: str | None = None,
        queue: str | None = None,
        experiment: str | None = None,
        env: dict[str, str] | None = None,
        called: str | None = None,
    ) -> Run:
        """Start a command in an image, with the files of `workdir` (None: without).

        `gpus`, `cpu` and `memory` are those of each node. A job without a `name` is named after
        `called`, or after what the command runs.

        Raises:
            UserError: the code is too large, or the API server refuses the job.
        """
        request = Request(
            name or of_command([called] if called else list(command), submission.name_suffix()),
            image,
            tuple(command),
            nodes,
            gpus,
            cpu,
            memory,
            queue,
            experiment,
            tuple((env or {}).items()),
            called or "",
        )
        code = submission.code_of(Path(workdir)) if workdir is not None else None
        job, config_maps = submission.objects(request, code)
        return self._submit(job, config_maps)

    def submit_yaml(self, text: str) -> Run:
        """Start the TrainingJob of a manifest, with the ConfigMaps that are in it.

        Raises:
            UserError: it has anything else in it, or the API server refuses it.
        """
        return self._submit(*from_yaml(text, "the manifest"))

    def _submit(self, job: Manifest, config_maps: Sequence[Manifest]) -> Run:
        made = submission.submit(self._cluster, job, [*config_maps])
        return Run(self._cluster, made)
