"""Objects laid over others: by field, and lists by what names their entries.

As Kubernetes' strategic merge patch does, for what is in a TrainingJob and in a pod, of whatever
release: what it does not know by name is replaced whole.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# What names an entry of a list, by the list's field.
KEYS: Mapping[str, tuple[str, ...]] = {
    "claims": ("name", "request"),
    "containers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "initializers": ("name",),
    "ports": ("containerPort", "protocol"),
    "resourceClaims": ("name",),
    "sidecars": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
# An entry of another list counts whole: half of one volume and half of another are no volume.
MERGED_ENTRIES = ("containers", "initContainers", "sidecars")
# Lists of entries without a name that do not contradict each other.
ADDED = ("envFrom", "tolerations")


def laid_over(under: Any, over: Any, field: str = "") -> Any:
    """JSON `under` with `over` on top, which wins; neither is changed. `field` is where both are.

    Laying the same over it once more changes nothing.
    """
    if isinstance(under, dict) and isinstance(over, dict):
        merged = {**under, **over}
        for name in under.keys() & over.keys():
            merged[name] = laid_over(under[name], over[name], name)
        return merged
    if isinstance(under, list) and isinstance(over, list):
        if field in ADDED:
            return [*under, *(entry for entry in over if entry not in under)]
        if field in KEYS:
            return _by_key(under, over, field)
    return over


def contradictions(fixed: Any, wanted: Any, path: str = "", field: str = "") -> Iterator[str]:
    """Where two JSON values say something different, e.g. `nodeSelector.pool` or `env[SEED]`."""
    if isinstance(fixed, dict) and isinstance(wanted, dict):
        for name in wanted:
            if name in fixed:
                where = f"{path}.{name}" if path else name
                yield from contradictions(fixed[name], wanted[name], where, name)
    elif isinstance(fixed, list) and isinstance(wanted, list) and field in KEYS:
        known = dict(_entries(fixed, field))
        for key, entry in _entries(wanted, field):
            if key in known and known[key] != entry:
                yield f"{path}[{key[0]}]"
    elif fixed != wanted and field not in ADDED:
        yield path


def _by_key(under: list[Any], over: list[Any], field: str) -> list[Any]:
    merged = dict(_entries(under, field))
    for key, entry in _entries(over, field):
        both = field in MERGED_ENTRIES and key in merged
        merged[key] = laid_over(merged[key], entry) if both else entry
    return list(merged.values())


def _entries(entries: list[Any], field: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for entry in entries:
        named = entry if isinstance(entry, dict) else {}
        yield tuple(str(named.get(part)) for part in KEYS[field]), entry
