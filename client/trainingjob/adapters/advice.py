"""What each reason means and what to do: reasons.json, made from docs/troubleshooting.md."""

import json
from importlib import resources

from trainingjob.core.why import Advice


def known() -> dict[str, Advice]:
    """The advice by reason."""
    text = resources.files("trainingjob").joinpath("reasons.json").read_text()
    return {reason: Advice(**one) for reason, one in json.loads(text).items()}
