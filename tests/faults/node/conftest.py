from tests.e2e.conftest import cluster, installed, shared_directory, steady

__all__ = ["cluster", "installed", "shared_directory", "steady"]
