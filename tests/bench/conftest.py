from tests.support.fixtures import cluster, kwok, operator, runs

__all__ = ["cluster", "kwok", "operator", "runs"]
