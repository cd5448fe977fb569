"""The reasons of failures that are known by name; docs/troubleshooting.md has an entry for each."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a job or an attempt failed, as recorded in `status.failure.reason`.

    Others come from Kubernetes, or from the termination message of another trainer.
    """

    # The operator's own.
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    COMMAND_MISSING = "CommandMissing"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    DISRUPTION_LIMIT_EXCEEDED = "DisruptionLimitExceeded"
    EXPERIMENT_NOT_ALLOWED = "ExperimentNotAllowed"
    FAILED_CREATE = "FailedCreate"
    IMAGE_MISSING = "ImageMissing"
    INVALID_SPEC = "InvalidSpec"
    JOB_DELETED = "JobDeleted"
    JOB_FAILED = "JobFailed"
    NAME_CONFLICT = "NameConflict"
    NON_ZERO_EXIT_CODE = "NonZeroExitCode"
    POD_FAILED = "PodFailed"
    PODS_MISSING = "PodsMissing"
    RUNTIME_INVALID = "RuntimeInvalid"
    RUNTIME_NOT_FOUND = "RuntimeNotFound"
    RUNTIME_OVERRIDE_FORBIDDEN = "RuntimeOverrideForbidden"
    SIGNAL = "Signal"
    STALLED = "Stalled"
    STOPPED = "Stopped"
    TRACKING_URI_NOT_ALLOWED = "TrackingUriNotAllowed"
    WORKSPACE_NOT_ALLOWED = "WorkspaceNotAllowed"
    # Ends of pods and containers by Kubernetes.
    DISRUPTED = "Disrupted"
    EVICTED = "Evicted"
    INITIALIZER_FAILED = "InitializerFailed"
    INIT_CONTAINER_FAILED = "InitContainerFailed"
    NODE_LOST = "NodeLost"
    OOM_KILLED = "OOMKilled"
    PREEMPTED = "Preempted"
    UNEXPECTED_ADMISSION_ERROR = "UnexpectedAdmissionError"
    # A command that the container runtime could not start.
    CONTAINER_CANNOT_RUN = "ContainerCannotRun"
    RUN_CONTAINER_ERROR = "RunContainerError"
    START_ERROR = "StartError"
    # What a pod waits for.
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    FAILED_ATTACH_VOLUME = "FailedAttachVolume"
    FAILED_CREATE_POD_SAND_BOX = "FailedCreatePodSandBox"
    FAILED_MOUNT = "FailedMount"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    INVALID_IMAGE_NAME = "InvalidImageName"
    UNSCHEDULABLE = "Unschedulable"
    # The trainer's termination message.
    ADDRESS_IN_USE = "AddressInUse"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    COMMUNICATION_FAILURE = "CommunicationFailure"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    CUDA_ERROR = "CudaError"
    CUDA_OUT_OF_MEMORY = "CudaOutOfMemory"
    DATA_ACCESS_DENIED = "DataAccessDenied"
    DATA_NOT_FOUND = "DataNotFound"
    DATA_UNAVAILABLE = "DataUnavailable"
    DATA_LOADER_WORKER_DIED = "DataLoaderWorkerDied"
    DISK_FULL = "DiskFull"
    FILE_NOT_FOUND = "FileNotFound"
    GPU_LOST = "GpuLost"
    IMPORT_FAILURE = "ImportFailure"
    INVALID_ARCHIVE = "InvalidArchive"
    INVALID_CONFIGURATION = "InvalidConfiguration"
    MODEL_NOT_LOGGED = "ModelNotLogged"
    NCCL_ERROR = "NcclError"
    OUT_OF_MEMORY = "OutOfMemory"
    RENDEZVOUS_FAILURE = "RendezvousFailure"
    SHARED_MEMORY_EXHAUSTED = "SharedMemoryExhausted"
    USER_EXCEPTION = "UserException"
    WORKER_DIED = "WorkerDied"


# No retry starts a command that the image does not have.
NEVER_STARTED = frozenset(
    {Reason.CONTAINER_CANNOT_RUN, Reason.RUN_CONTAINER_ERROR, Reason.START_ERROR}
)
OTHER = "Other"
_KNOWN = frozenset(str(reason) for reason in Reason)


def bounded(reason: str) -> str:
    """A reason as the label of a metric: a termination message may contain any text."""
    return reason if reason in _KNOWN else OTHER
