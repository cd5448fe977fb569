"""What API servers of all supported versions answer to an object that its schema refuses."""

import re

from localcluster.programs import NEWEST_KUBERNETES, chosen_kubernetes

_VALUE = re.compile(r'(Invalid value: )("(?:[^"\\]|\\.)*"|[^\s:]+)(?=: )')


def comparable(message: str) -> str:
    """A message as it is on the newest Kubernetes, elsewhere without the value that is refused.

    The API server of 1.34 does not repeat a string or a number that a rule refuses: it has the
    type of the value there, or nothing. The field and the rule's own message are the same.
    """
    if chosen_kubernetes() == NEWEST_KUBERNETES:
        return message
    return _VALUE.sub(r"\1…", message)
