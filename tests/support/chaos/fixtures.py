"""The laboratory as fixtures, opened once for all tests of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.chaos import scenarios
from tests.support.chaos.campaign import References, undisturbed
from tests.support.chaos.laboratory import open_laboratory
from tests.support.chaos.trial import Laboratory
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def laboratory(
    request: pytest.FixtureRequest,
    kwok: Kwok,
    mlflow_process: MlflowServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Laboratory]:
    """Both servers, and the operator imported; the module says how long the quiet lasts."""
    if not mlflow_process.running:
        mlflow_process.start()
    directory = tmp_path_factory.mktemp("faults")
    quiet: float = request.module.QUIET_SECONDS
    opened = open_laboratory(
        kwok.kubeconfig, kwok.operator_login, mlflow_process.uri, directory, quiet
    )
    async with opened as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def references(laboratory: Laboratory) -> References:
    """Each scenario as it goes undisturbed."""
    return await undisturbed(laboratory, scenarios.ALL)
