"""What becomes of a parameter that the run has with another value: MLflow keeps the first. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainingjob_agent.delivery.batch import Batch, fit_key

CHANGED_PARAM_TAG = "trainingjob.changed_param."
"""Tag `trainingjob.changed_param.<attempt>.<parameter>`: a value that is not the first."""

_SHORTEST_LIMIT = 500
"""At which a server cuts the value of a parameter (MLflow 2.10: 500 characters, later 6,000)."""
_TAG_CHARACTERS = 5000
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class FirstValues:
    """What to log in place of a batch, and what to say of each parameter that differs."""

    batches: tuple[Batch, ...]
    changes: tuple[str, ...]


def keep_first_values(batch: Batch, known: Mapping[str, str], *, attempt: int) -> FirstValues:
    """Leave out parameters which the run has, and make a tag of each value that differs.

    Args:
        batch: what MLflow refuses.
        known: the parameters of the run.
        attempt: of the job, for the names of the tags.
    """
    first: dict[str, str] = dict(known)
    new, tags, changes = [], [], []
    for key, value in batch.params:
        if key not in first:
            first[key] = value
            new.append((key, value))
        elif not _equal(value, first[key]):
            tag = fit_key(f"{CHANGED_PARAM_TAG}{attempt}.{key}")
            tags.append((tag, value[:_TAG_CHARACTERS]))
            changes.append(
                f"parameter {key} stays {_shown(first[key])}, its first value in this run; "
                f"{_shown(value)} is kept as tag {tag}"
            )
    batches = (replace(batch, params=tuple(new)), Batch(tags=tuple(dict(tags).items())))
    return FirstValues(tuple(one for one in batches if len(one)), tuple(changes))


def _equal(value: str, known: str) -> bool:
    return value == known or (len(known) >= _SHORTEST_LIMIT and value.startswith(known))


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…")
