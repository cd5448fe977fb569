"""How far the initializers of an attempt are, as far as pods and run show."""

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core.intent import RunView
from trainingjob_operator.core.observe import PodView


def text(job: TrainingJob, pods: tuple[PodView, ...], run: RunView) -> str | None:
    """What the initializer of the lowest rank does; None where none runs.

    The pods show which one runs. How far it is comes from a tag of the run, which that of node 0
    sets.
    """
    preparing = sorted((pod for pod in pods if pod.initializer), key=lambda pod: pod.rank)
    if not preparing:
        return None
    first, names = preparing[0], [one.name for one in job.spec.initializers]
    if first.initializer not in names:
        return f"initializer {first.initializer} runs"
    number = names.index(first.initializer)
    source = job.spec.initializers[number].source.partition("?")[0]
    nodes = f" on {len(preparing)} of {job.spec.num_nodes} nodes" if job.spec.num_nodes > 1 else ""
    what = f"initializer {first.initializer} ({number + 1} of {len(names)}) fetches {source}{nodes}"
    who, _, progress = run.preparing.partition(": ")
    known = who == f"{job.status.attempt} {first.initializer}" and first.rank == 0
    return f"{what}: {progress}" if known else what
