"""Tasks of the tests, each found by its module's name, as a user's is in a pod."""

from pathlib import Path

DIRECTORY = Path(__file__).parent
