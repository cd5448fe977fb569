"""Where `make frameworks` puts Lightning and Transformers: beside the environment, not in it."""

from pathlib import Path

FRAMEWORKS = Path(__file__).parents[2] / ".venv" / "frameworks"
