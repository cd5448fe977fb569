"""Many jobs at once, of which every tenth fails."""

from tests.support.api import Cluster, Manifest, manifest

EXPECTED_RUN = {"Succeeded": "FINISHED", "Failed": "FAILED"}


def many(count: int) -> list[Manifest]:
    """Jobs that run for two to six seconds each."""
    return [
        manifest(
            f"job-{number}",
            annotations={
                "kwok.trainingjob.dev/run-seconds": str(2 + number % 5),
                "kwok.trainingjob.dev/exit-code": "1" if number % 10 == 0 else "0",
            },
        )
        for number in range(count)
    ]


def at_least_ended(cluster: Cluster, count: int) -> bool:
    """Whether so many jobs have ended."""
    return sum(state in EXPECTED_RUN for state in cluster.states().values()) >= count
