"""Everything that the trials of one test share, opened and closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.chaos.lives import Zygote
from tests.support.chaos.trial import Laboratory
from tests.support.chaos.upstream import Upstream
from tests.support.chaos.world import World
from tests.support.service_account import OperatorLogin


@asynccontextmanager
async def open_laboratory(
    admin: Path, login: OperatorLogin, mlflow: str, directory: Path, quiet_seconds: float
) -> AsyncIterator[Laboratory]:
    """Connect to both servers, begin to watch, and import the operator once."""
    async with (
        Upstream(admin, mlflow) as upstream,
        World(upstream) as world,
        Zygote() as zygote,
    ):
        yield Laboratory(upstream, world, zygote, login, directory, quiet_seconds)
