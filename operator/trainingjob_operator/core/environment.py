"""The environment of a training pod: the operator's half of the contract with the trainer."""

import json
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.api import TrainingJob, TrainingJobSpec
from trainingjob_operator.api.container_rules import TEMPORARY_PATH
from trainingjob_operator.core import contract, names
from trainingjob_operator.core.intent import RunIdentity
from trainingjob_operator.core.tracking_uris import Tracking

Variable = dict[str, Any]

GPU = "nvidia.com/gpu"
# Read by MLflow's own SystemEnvironmentContext (mlflow/tracking/context).
RUN_CONTEXT = "MLFLOW_RUN_CONTEXT"
TOKEN_FILE = "MLFLOW_TRACKING_TOKEN_FILE"  # noqa: S105 - the name of a variable
# Read by MLflow's own Kubernetes login (mlflow/tracking/request_auth).
API_TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a mount point
TOKEN_DIRECTORY = "/var/run/secrets/trainingjob.dev/mlflow"  # noqa: S105 - a mount point

# What a user of any number is called: torch and MLflow ask for a name.
USER = "trainer"


def home(spec: TrainingJobSpec, security: Mapping[str, Any]) -> list[Variable]:
    """A HOME that can be written to, where that of the image cannot; spec.env counts instead.

    A user whom the image does not know has no name either. `security` is the pod's context.
    """
    named = {one.get("name") for one in spec.env}
    wanted: list[Variable] = []
    if "runAsUser" in security or spec.read_only_root_filesystem:
        wanted.append(_variable("HOME", TEMPORARY_PATH))
    if "runAsUser" in security:
        wanted.append(_variable("USER", USER))
    return [one for one in wanted if one["name"] not in named]


def contract_env(
    job: TrainingJob, attempt: int, run: RunIdentity | None, tracking: Tracking
) -> list[Variable]:
    """All contract variables of one pod; without `run` the trainer finds its run by the uid tag."""
    monitoring = job.spec.monitoring
    return [
        _variable("TRAININGJOB_NAME", job.metadata.name),
        _variable("TRAININGJOB_NAMESPACE", job.metadata.namespace),
        _variable("TRAININGJOB_UID", job.metadata.uid),
        _variable("TRAININGJOB_ATTEMPT", attempt),
        _node_rank("TRAININGJOB_NODE_RANK"),
        _variable("TRAININGJOB_NUM_NODES", job.spec.num_nodes),
        *_checkpoint(job.spec),
        _variable("TRAININGJOB_MONITOR_ENABLED", str(monitoring.enabled).lower()),
        _variable("TRAININGJOB_MONITOR_INTERVAL", monitoring.interval_seconds),
        _variable("TRAININGJOB_METRICS_PORT", monitoring.port),
        *_shared_gpus(job.spec),
        *_mlflow(run, tracking),
        *_mlflow_token(job.spec, tracking),
        *_run_context(job),
        *_torchrun(job, attempt),
        *_launchers(job, attempt),
    ]


def _checkpoint(spec: TrainingJobSpec) -> list[Variable]:
    if spec.checkpoint is None:
        return []
    return [
        _variable("TRAININGJOB_CHECKPOINT_DIR", spec.checkpoint.path),
        _variable("TRAININGJOB_OPTION_CHECKPOINT_EVERY_SECONDS", spec.checkpoint.every_seconds),
        _variable("TRAININGJOB_OPTION_CHECKPOINT_KEEP", spec.checkpoint.keep),
    ]


def _mlflow(run: RunIdentity | None, tracking: Tracking) -> list[Variable]:
    server = [_variable("MLFLOW_TRACKING_URI", tracking.uri)]
    if tracking.workspace:
        # MLflow's own name: its client sends it as a header with each request.
        server.append(_variable("MLFLOW_WORKSPACE", tracking.workspace))
    if run is None:
        return server
    return [
        *server,
        _variable("MLFLOW_EXPERIMENT_ID", run.experiment_id),
        # MLflow's own name: a user's fluent script adopts the run instead of making a second one.
        _variable("MLFLOW_RUN_ID", run.run_id),
        _variable("TRAININGJOB_MLFLOW_RUN_ID", run.run_id),
        _variable("TRAININGJOB_MLFLOW_RUN_URL", tracking.run_url(run)),
    ]


def token_directory(spec: TrainingJobSpec) -> str:
    """Where the token for MLflow is mounted: where MLflow's own Kubernetes login looks for one.

    A pod with a ServiceAccount of its author's has that one's token for the API server there.
    """
    return API_TOKEN_DIRECTORY if spec.service_account_name is None else TOKEN_DIRECTORY


def _mlflow_token(spec: TrainingJobSpec, tracking: Tracking) -> list[Variable]:
    """The file that the agent reads before each call; one that the user names counts instead."""
    if tracking.token is None or any(one.get("name") == TOKEN_FILE for one in spec.env):
        return []
    return [_variable(TOKEN_FILE, f"{token_directory(spec)}/token")]


def _run_context(job: TrainingJob) -> list[Variable]:
    """Tags that MLflow's fluent API gives to every run that it makes in the pod.

    By them the operator finds what the pods left open. Those of the user count instead.
    """
    if any(one.get("name") == RUN_CONTEXT for one in job.spec.env):
        return []
    return [_variable(RUN_CONTEXT, json.dumps({contract.TAG_OPENED_BY: job.metadata.uid}))]


def _torchrun(job: TrainingJob, attempt: int) -> list[Variable]:
    """Torchrun takes each of its options from PET_<OPTION> (torch.distributed.run)."""
    return [
        _variable("PET_NNODES", job.spec.num_nodes),
        _variable("PET_NPROC_PER_NODE", processes_per_node(job.spec)),
        _node_rank("PET_NODE_RANK"),
        _variable("PET_MASTER_ADDR", _master_address(job, attempt)),
        _variable("PET_MASTER_PORT", contract.MASTER_PORT),
    ]


def _launchers(job: TrainingJob, attempt: int) -> list[Variable]:
    """What other launchers and `init_process_group` read; a value of `spec.env` wins.

    RANK and WORLD_SIZE only where the pod's command is the rank: a launcher of several processes
    sets them for each. LOCAL_RANK and LOCAL_WORLD_SIZE only with several nodes: Accelerate and
    Lightning take LOCAL_RANK for a distributed training, which one process alone is not.
    """
    spec = job.spec
    variables = [
        _variable("NNODES", spec.num_nodes),
        _node_rank("NODE_RANK"),
        _variable("MASTER_ADDR", _master_address(job, attempt)),
        _variable("MASTER_PORT", contract.MASTER_PORT),
    ]
    if processes_per_node(spec) == 1:
        variables += [_variable("WORLD_SIZE", spec.num_nodes), _node_rank("RANK")]
        if spec.num_nodes > 1:
            variables += [_variable("LOCAL_WORLD_SIZE", 1), _variable("LOCAL_RANK", 0)]
    chosen = {variable["name"] for variable in spec.env}
    return [variable for variable in variables if variable["name"] not in chosen]


def _shared_gpus(spec: TrainingJobSpec) -> list[Variable]:
    """The pod cannot see that a GPU of its own is a slice of time; the resource's name says so.

    NVIDIA's device plugin names it so where `renameByDefault` is on.
    """
    resources = spec.resources_per_node
    asked = (name for kind in ("limits", "requests") for name in resources.get(kind, {}))
    if any(name.startswith("nvidia.com/") and name.endswith(".shared") for name in asked):
        return [_variable("TRAININGJOB_GPU_SHARED", "true")]
    return []


def processes_per_node(spec: TrainingJobSpec) -> int:
    """`auto` means one process for each GPU of a pod, or one where there is none."""
    if spec.num_proc_per_node != "auto":
        return int(spec.num_proc_per_node)
    resources = spec.resources_per_node or {}
    gpus = resources.get("limits", {}).get(GPU) or resources.get("requests", {}).get(GPU)
    return max(int(gpus or 0), 1)


def _master_address(job: TrainingJob, attempt: int) -> str:
    if job.spec.num_nodes == 1:
        return "127.0.0.1"
    # The Job controller names the host of index 0 so; the headless Service resolves it.
    return f"{names.child_job(job.metadata.name, attempt)}-0.{job.metadata.name}"


def _variable(name: str, value: object) -> Variable:
    return {"name": name, "value": str(value)}


def _node_rank(name: str) -> Variable:
    path = f"metadata.annotations['{names.JOB_COMPLETION_INDEX}']"
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
