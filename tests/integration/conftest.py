from tests.support.fixtures import cluster, kwok, operator, operator_settings, runs

__all__ = ["cluster", "kwok", "operator", "operator_settings", "runs"]
