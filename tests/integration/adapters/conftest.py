import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.processes import MlflowServer

Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait for a condition in the event loop, with a deadline."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event of its own
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def mlflow_server(mlflow: MlflowServer) -> str:
    """URI of a real tracking server on SQLite."""
    return mlflow.uri
