"""The names that operator, trainer, MLflow and cluster share; the trainer reads the same ones."""

from trainingjob_operator.api import GROUP, VERSION

API_VERSION = f"{GROUP}/{VERSION}"

# On a child Job, from its creation until the end of its attempt is stored and set in MLflow.
ATTEMPT_FINALIZER = f"{GROUP}/attempt"
# On a child Job: what closing the run needs when the TrainingJob is gone.
ANNOTATION_CREATED = f"{GROUP}/created"
ANNOTATION_MLFLOW = f"{GROUP}/mlflow"
# Kubernetes' own: the garbage collector deletes, or orphans, what the object owns.
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
LABEL_NAME = f"{GROUP}/name"
LABEL_UID = f"{GROUP}/uid"
LABEL_ATTEMPT = f"{GROUP}/attempt"
# Kueue's own: the LocalQueue that a Job waits in.
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
# The user that the run's page shows; a client may set it.
ANNOTATION_USER = f"{GROUP}/user"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "trainingjob-operator"

CONTAINER_NAME = "trainer"
METRICS_PORT_NAME = "metrics"
MASTER_PORT = 29500

TAG_PREFIX = "trainingjob."
TAG_UID = "trainingjob.uid"
TAG_NAME = "trainingjob.name"
TAG_NAMESPACE = "trainingjob.namespace"
TAG_ATTEMPT = "trainingjob.attempt"
# The installation that manages the run: the uid of the cluster's namespace kube-system.
TAG_CLUSTER = "trainingjob.cluster"
# The deleted run that this one replaces.
TAG_REPLACES = "trainingjob.replaces"
# The job whose pods opened this run besides the job's own: its uid.
TAG_OPENED_BY = "trainingjob.opened_by"
# A warning from the agent of a node: "<reason>: <message>".
TAG_WARNING = "trainingjob.warning"
# How far the initializer of node 0 is: "<attempt> <name>: <text>".
TAG_PREPARING = "trainingjob.preparing"
# What the pods run.
TAG_IMAGE = "trainingjob.image"
TAG_COMMAND = "trainingjob.command"
# The outcome of the last attempt, or of the job; the cause of the last failure; the goodput.
TAG_OUTCOME = "trainingjob.outcome"
TAG_FAILURE = "trainingjob.failure."
TAG_GOODPUT = "trainingjob.goodput."

METRIC_PERCENTAGE = "progress/percentage"
METRIC_EPOCH = "progress/epoch"
METRIC_STEP = "progress/step"
SYSTEM_METRICS = "system/"
METRIC_REMAINING = "progress/estimated_remaining_seconds"
