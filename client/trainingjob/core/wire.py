"""Names that client, operator and pods share; a test reads them on all sides."""

GROUP = "trainingjob.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TrainingJob"
PLURAL = "trainingjobs"

MAX_NAME_LENGTH = 50
CONTAINER_NAME = "trainer"
LABEL_NAME = f"{GROUP}/name"
LABEL_UID = f"{GROUP}/uid"
LABEL_ATTEMPT = f"{GROUP}/attempt"
# Kubernetes' own, on the pods of an Indexed Job: the node rank.
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
MANAGER = f"{GROUP}/trainingjob-operator"

# Programs that bring what trainingjob-exec would put beside them.
EXEC = "trainingjob-exec"
TRAINER = "trainingjob-trainer"


def log_folder(attempt: int) -> str:
    """Folder of the run's artifacts with the output of an attempt, one file a node."""
    return f"logs/attempt-{attempt}"


def log_file(attempt: int, rank: int) -> str:
    """Path of the artifact with the output of one node."""
    return f"{log_folder(attempt)}/node-{rank}.txt"
