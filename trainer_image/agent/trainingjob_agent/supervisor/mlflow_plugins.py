"""What `hook/` names to MLflow in each process of the script: its plugins, as entry points."""
# MLflow's stores have no annotations.
# mypy: allow-untyped-calls, no-warn-return-any

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.rest_store import RestStore
from mlflow.tracking._tracking_service import utils

from trainingjob_agent.supervisor.adopted_run import AdoptedRunStore
from trainingjob_agent.supervisor.asking import ask_run
from trainingjob_agent.supervisor.jobs_run import MLFLOW_NAMES, JobsRun

_REGISTRY = utils._tracking_store_registry  # noqa: SLF001 - as old as MLflow's plugins, which fill it
_MLFLOWS = dict(_REGISTRY._registry)  # noqa: SLF001 - there is no other way to MLflow's own builders
_SERVERS = ("http", "https")
_build_mlflows: Callable[..., RestStore] = _MLFLOWS["http"]
_ASKS_SPARK = "_get_registry_uri_from_spark_session"
"""MLflow's function; no public one, as old as 2.3."""
_PASSWORDS = re.compile(r"(?<=//)[^/]*@|\?.*")
_ONLY_FOR_JOBS_SERVER = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")


class JobsExperiment:
    """MLflow's provider of a default experiment: the job's, for a script that names none."""

    def in_context(self) -> bool:
        """Whether the script logs to the server of the job."""
        job = JobsRun.from_environment()
        return (
            job is not None
            and job.experiment_id is not None
            and _same(mlflow.get_tracking_uri(), job.tracking_uri)
        )

    def get_experiment_id(self) -> str | None:
        """Return the id of the job's experiment."""
        job = JobsRun.from_environment()
        return job.experiment_id if job else None


def build_store(store_uri: str, **_: object) -> RestStore:
    """Build the store for a server, as MLflow's registry asks for it."""
    store: RestStore = _build_mlflows(store_uri=store_uri)
    job = JobsRun.from_environment()
    if job is None:
        return store
    if not _same(store_uri, job.tracking_uri) and not _has_jobs_run(store.get_host_creds(), job):
        _say_whose_choice_it_is(job, store_uri)
        return store
    _look_for_spark_once()
    return AdoptedRunStore(store.get_host_creds, job)


def leave_choice_to_script(job: JobsRun | None) -> None:
    """Take what names the job's run from the environment, where it would count for any server.

    With the job's server the store and the experiment's provider stand for it. A store of another
    kind is MLflow's own; it is said once that the script has chosen it.
    """
    if job is None:
        return
    for name in _ONLY_FOR_JOBS_SERVER:
        if os.environ.get(name) == os.environ.get(MLFLOW_NAMES[name]):
            os.environ.pop(name, None)
    for scheme, build in _MLFLOWS.items():
        if scheme not in _SERVERS:
            _REGISTRY.register(scheme, _said(build, job))


def _look_for_spark_once() -> None:
    """Spare each call of MLflow's client two searches for a package that is not there.

    It asks pyspark for a registry of models, where no registry is set. Without pyspark the search
    takes twice the time of all the rest of `log_metrics`.
    """
    utils = import_module("mlflow.tracking._model_registry.utils")
    if hasattr(utils, _ASKS_SPARK) and find_spec("pyspark") is None:
        setattr(utils, _ASKS_SPARK, _no_registry)


def _no_registry() -> None:
    """Answer as MLflow's own function does without pyspark."""


def _said(build: Callable[..., Any], job: JobsRun) -> Callable[..., Any]:
    @functools.wraps(build)
    def build_and_say(store_uri: str, *arguments: Any, **named: Any) -> Any:
        if not _same(store_uri, job.tracking_uri):
            _say_whose_choice_it_is(job, store_uri)
        return build(store_uri, *arguments, **named)

    return build_and_say


def _say_whose_choice_it_is(job: JobsRun, store_uri: str) -> None:
    shown = _PASSWORDS.sub("", store_uri)
    job.say_once(
        "tracking-uri",
        f"the script logs to {shown}, as it has chosen, and not to the job's run in MLflow",
    )


def _has_jobs_run(host_creds: Any, job: JobsRun) -> bool:
    """Whether this is the job's server by another name."""
    run_id = job.known_id()
    if run_id is None:
        return False
    try:
        ask_run(host_creds, run_id, retries=0)
    except MlflowException:
        return False
    return True


def _same(uri: str, other: str) -> bool:
    return uri.rstrip("/") == other.rstrip("/")


# MLflow imports this module while it collects its plugins, which is before the first run.
leave_choice_to_script(JobsRun.from_environment())
