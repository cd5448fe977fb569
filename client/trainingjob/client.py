"""TrainingJobs from Python: `Client().submit(...)` gives a `Run`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainingjob import following, logs, submission
from trainingjob.adapters.kube import Cluster
from trainingjob.adapters.tracking import KeptRun
from trainingjob.core import functions
from trainingjob.core import job as jobs
from trainingjob.core.job import Job
from trainingjob.core.local import NAMESPACE
from trainingjob.core.manifests import Request
from trainingjob.core.merging import Line
from trainingjob.core.naming import of_command
from trainingjob.core.pods import Selection
from trainingjob.core.snapshot import File
from trainingjob.errors import UserError
from trainingjob.local import Started
from trainingjob.local_jobs import LocalRun
from trainingjob.run import Rank, Run
from trainingjob.submission import Submission


class ClusterRun(Run):
    """A job of a cluster."""

    def __init__(self, cluster: Cluster, job: Job) -> None:
        super().__init__(job)
        self._cluster = cluster

    def logs(
        self, rank: Rank = "all", attempt: int | None = None, *, follow: bool = False
    ) -> Iterator[str]:
        """As of `Run`."""
        selection = Selection(None if rank == "all" else rank, attempt)
        self.refresh()
        if follow:
            before = logs.of_gone_pods(self._cluster, self._job, selection)
            yield from (line.text for line in before)
            news = following.follow(self._cluster, self.name, selection)
            yield from (one.text for one in news if isinstance(one, Line))
        else:
            found = logs.read(self._cluster, self._job, selection)
            yield from (line.text for line in found)

    def suspend(self) -> None:
        """As of `Run`."""
        self._cluster.patch_spec(self.name, suspend=True)

    def resume(self) -> None:
        """As of `Run`."""
        self._cluster.patch_spec(self.name, suspend=False)

    def stop(self) -> None:
        """As of `Run`."""
        self._cluster.stop(self.name)

    def delete(self) -> None:
        """As of `Run`."""
        self._cluster.delete(self.name)

    def _read(self) -> Job:
        return jobs.read(self._cluster.get(self.name))

    def _wait(self, timeout_seconds: float | None) -> Job:
        return following.wait(self._cluster, self.name, timeout_seconds)

    def _result(self) -> str | None:
        return KeptRun(self._job.run_id or "", self._job.tracking_uri).text(functions.RESULT)


class Client:
    """TrainingJobs of one namespace; logs in as kubectl does. With `local` they run here.

    Raises:
        UserError: there is no kubeconfig, or it has not the context.
    """

    def __init__(
        self, namespace: str | None = None, *, context: str | None = None, local: bool = False
    ) -> None:
        self._found = None if local else Cluster.connect(context, namespace)
        self._here: dict[str, LocalRun] = {}

    @property
    def namespace(self) -> str:
        """The namespace of all calls; by default that of the context."""
        return NAMESPACE if self._found is None else self._found.namespace

    @property
    def local(self) -> bool:
        """Whether its jobs run on this machine."""
        return self._found is None

    @property
    def _cluster(self) -> Cluster:
        if self._found is None:
            raise UserError("this client has no cluster", "leave out local=True")
        return self._found

    def list(self, state: str | None = None) -> list[Run]:
        """The jobs, oldest first; with a state, such as `Running`, only those in it.

        Here those that this client has started.
        """
        if self._found is None:
            here = [run.refresh() for run in self._here.values()]
            return [run for run in here if state in (None, run.state)]
        found = sorted(
            (jobs.read(body) for body in self._cluster.training_jobs()),
            key=lambda job: str(job.created),
        )
        return [ClusterRun(self._cluster, job) for job in found if state in (None, job.state)]

    def get(self, name: str) -> Run:
        """One job.

        Raises:
            UserError: there is none of this name.
        """
        if name in self._here:
            return self._here[name]
        return ClusterRun(self._cluster, jobs.read(self._cluster.get(name)))

    def submit(
        self,
        command: Sequence[str],
        *,
        image: str = "",
        name: str | None = None,
        workdir: Path | str | None = ".",
        nodes: int = 1,
        gpus: int = 0,
        cpu: str | None = None,
        memory: str | None = None,
        queue: str | None = None,
        runtime: str | None = None,
        experiment: str | None = None,
        env: dict[str, str] | None = None,
        packages: Sequence[str] = (),
        called: str | None = None,
        modules: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a command in an image, with the files of `workdir` (None: without).

        On this machine it is started in `workdir`, without an image, packages and resources.

        `gpus`, `cpu` and `memory` are those of each node. `packages` are requirements, as pip has
        them, that each pod installs before the command. `runtime` is the name of a
        ClusterTrainingRuntime, or TrainingRuntime/NAME of the namespace; it may have the image. A
        job without a `name` is named after `called`, or after what the command runs. `modules` go
        along beside the files, by name.

        Raises:
            UserError: no image is named, the code is too large, or the API server refuses the job.
        """
        suffix = submission.name_suffix()
        name = name or of_command([called] if called else list(command), suffix)
        if self._found is None:
            directory = Path(workdir or ".")
            shown = (called,) if called else tuple(command)
            return self._start_here(
                Started(
                    name,
                    tuple(command),
                    directory,
                    experiment,
                    tuple((env or {}).items()),
                    submission.code_tags(directory, shown),
                    dict(modules or {}),
                )
            )
        if not image and not runtime:
            raise UserError("no image", "name one by image, or a runtime that has one")
        request = Request(
            name,
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
            tuple(packages),
            runtime,
        )
        more = [File(name, text.encode()) for name, text in (modules or {}).items()]
        code = submission.code_of(Path(workdir), *more) if workdir is not None else None
        return self._submit(submission.of_request(request, code))

    def submit_yaml(self, text: str) -> Run:
        """Start the TrainingJob of a manifest, with the ConfigMaps that are in it.

        Raises:
            UserError: it has anything else in it, or the API server refuses it.
        """
        return self._submit(submission.of_yaml(text, "the manifest"))

    def rerun(self, name: str, command: Sequence[str] = (), *, new_name: str | None = None) -> Run:
        """Start a job again, by its name or the id of its run, maybe with another command.

        Raises:
            UserError: there is no such job or run, or its code is gone.
        """
        return self._submit(submission.again(self._cluster, name, new_name, tuple(command)))

    def _start_here(self, started: Started) -> Run:
        run = LocalRun(started)
        self._here[started.name] = run
        return run

    def _submit(self, wanted: Submission) -> Run:
        return ClusterRun(self._cluster, submission.submit(self._cluster, wanted))
