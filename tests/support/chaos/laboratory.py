"""Everything that the trials of one test share, opened and closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.chaos.lives import Zygote
from tests.support.chaos.trial import Laboratory
from tests.support.chaos.upstream import Upstream
from tests.support.chaos.world import World


@asynccontextmanager
async def open_laboratory(
    kubeconfig: Path, mlflow: str, directory: Path, quiet_seconds: float
) -> AsyncIterator[Laboratory]:
    """Connect to both servers, begin to watch, and import the operator once."""
    async with (
        Upstream(kubeconfig, mlflow) as upstream,
        World(upstream) as world,
        Zygote() as zygote,
    ):
        yield Laboratory(upstream, world, zygote, directory, quiet_seconds)
