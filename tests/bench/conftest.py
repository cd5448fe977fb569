from collections.abc import Mapping

import pytest

from tests.support.fixtures import cluster, kwok, operator, runs

__all__ = ["cluster", "kwok", "operator", "runs"]


@pytest.fixture
def operator_settings() -> Mapping[str, str]:
    """None: what is measured is the operator as people install it."""
    return {}
