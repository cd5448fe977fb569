from tests.support.chaos.fixtures import laboratory, references

__all__ = ["laboratory", "references"]
