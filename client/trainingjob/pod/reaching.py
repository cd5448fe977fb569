"""Runs in a pod of a job: prints why its MLflow does not answer, or nothing. Sent as text."""

import os
import ssl
import urllib.error
import urllib.request

_SECONDS = 5


def main() -> None:
    """Ask the server of the environment."""
    # Only whether it answers: certificates are a matter of the settings of whoever logs to it.
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    try:
        urllib.request.urlopen(uri, timeout=_SECONDS, context=trusting)  # noqa: S310 - the operator's own
    except urllib.error.HTTPError:
        # It may want a login, or have no page at this path.
        return
    except (OSError, ValueError) as error:
        print(getattr(error, "reason", error))


if __name__ == "__main__":
    main()
