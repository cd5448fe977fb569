"""Whether a web server answers from this machine."""

import urllib.error
import urllib.request

_SECONDS = 5


def problem_of(uri: str) -> str | None:
    """What is wrong with an http(s) server; None if it answers, be it with a refusal."""
    if not uri.startswith(("http://", "https://")):
        return "it is no address of a server"
    try:
        with urllib.request.urlopen(uri, timeout=_SECONDS):  # noqa: S310 - http or https, as above
            return None
    except urllib.error.HTTPError:
        # It may want a login, or have no page at this path.
        return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)
