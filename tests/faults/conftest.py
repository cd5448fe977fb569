from tests.support.chaos.fixtures import laboratory, references
from tests.support.fixtures import kwok

__all__ = ["kwok", "laboratory", "references"]
