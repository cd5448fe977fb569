"""Times for people."""

from datetime import datetime


def duration(seconds: float) -> str:
    """A time in its two largest units, as kubectl prints it: `3m20s`, `2d4h`; at least `0s`."""
    minutes, whole = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{whole}s" if minutes else f"{whole}s"


def age(since: datetime | None, now: datetime) -> str:
    """Time since a moment; `-` where it is unknown."""
    return "-" if since is None else duration((now - since).total_seconds())


def size(count: int) -> str:
    """Bytes in the unit that suits them: `512 B`, `1.5 KiB`, `20 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if round(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
