"""The remedy for a failure, appended to its message. Pure."""

_SHOWN = 800
"""Characters of a message before the advice: the operator shows the last 1,024 of both."""

_ADVICE = {
    "AddressInUse": "Another process of the pod listens on this port: end it, "
    "or set MASTER_PORT in spec.env",
    "ChecksumMismatch": "Correct spec.initializers.sha256, or the file at the source",
    "CollectiveTimeout": "A rank did not take part in this operation: look for the one that "
    "failed, hangs or was still busy with data; init_process_group(timeout=...) is the limit",
    "CudaOutOfMemory": "Use a smaller batch, gradient accumulation, mixed precision or a larger "
    "GPU; PYTORCH_ALLOC_CONF=expandable_segments:True if much is reserved but not allocated",
    "DataLoaderWorkerDied": "Mostly for want of memory: fewer workers, or a higher "
    "spec.resourcesPerNode.limits.memory",
    "DataAccessDenied": "Give the login of the source by spec.initializers.env, from a Secret",
    "DataNotFound": "Correct spec.initializers.source, or bring the data there",
    "DataUnavailable": "With spec.backoffLimit further attempts try again",
    "DiskFull": "A larger volume, fewer checkpoints, or a higher limit of ephemeral-storage in "
    "spec.resourcesPerNode",
    "FileNotFound": "Check the path, spec.volumeMounts, and what the image has there",
    "ImportFailure": "Add it to the image, or correct spec.workingDir, PYTHONPATH or, for a "
    "library, LD_LIBRARY_PATH",
    "InvalidArchive": "Pack the data again, as .tar.gz or .zip, or remove "
    "spec.initializers.extract and unpack it in a container of spec.initContainers",
    "OutOfMemory": "Fewer DataLoader workers, or a higher spec.resourcesPerNode.limits.memory",
    "RendezvousFailure": "Not all ranks joined the rendezvous: check that the pods of all nodes "
    "run the same command, and that they reach MASTER_ADDR:MASTER_PORT",
    "SharedMemoryExhausted": "The shared memory of the pod is full: set spec.sharedMemory to a "
    "larger size (a pod has 64 MiB without it), or use fewer DataLoader workers",
}
_DETAILS = (
    # C++ stacks of torch, and advice of its own that ours repeats.
    "\nException raised from ",
    " If reserved but unallocated memory is large",
)


def advised(reason: str, message: str) -> str:
    """Return the message with the remedy, if there is one for its reason."""
    for mark in _DETAILS:
        message = message.partition(mark)[0]
    advice = _ADVICE.get(reason)
    if advice is None:
        return message
    if len(message) > _SHOWN:
        message = f"{message[: _SHOWN - 1]}…"
    return f"{message.rstrip().rstrip('.')}. {advice}."
