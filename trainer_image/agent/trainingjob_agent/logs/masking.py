"""Takes secrets out of text: known formats, and values of variables by their names. Pure."""

import re
from collections.abc import Iterator, Mapping

MASK = b"[masked]"
_SHORTEST_VALUE = 8
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|KEY|CREDENTIAL", re.IGNORECASE)

_FORMATS = (
    rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS access key id
    rb"(?<=aws_secret_access_key)(?P<sep>[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9/+=]{40}",
    rb"\bgh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
    rb"\bgithub_pat_[A-Za-z0-9_]{22,}",
    rb"\bglpat-[A-Za-z0-9_-]{20,}",  # GitLab
    rb"\b(?:hf|api_org)_[A-Za-z0-9]{30,}",  # Hugging Face
    rb"\bsk-[A-Za-z0-9_-]{20,}",  # OpenAI and others
    rb"\bxox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
    rb"\bAIza[A-Za-z0-9_-]{35}",  # Google
    rb"\bdapi[0-9a-f]{32}",  # Databricks
    rb"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",  # JSON Web Token
    rb"(?i:\b(?P<scheme>bearer|basic)\s+)[A-Za-z0-9._~+/-]{8,}=*",  # HTTP Authorization
    rb"(?P<user>://[^\s/:@]*:)[^\s/@]+(?=@)",  # URL with a password
)
_KEPT = ("sep", "scheme", "user")
_KEY_BEGIN = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_END = re.compile(rb"-----END [A-Z ]*PRIVATE KEY-----")


class Masker:
    """Masks line by line, as a private key (PEM) goes over several."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = sorted(set(_secret_values(environment)), key=len, reverse=True)
        self._pattern = re.compile(b"|".join([*map(re.escape, values), *_FORMATS]))
        self._in_key = False

    def lines(self, text: bytes) -> bytes:
        """Mask whole lines; the next ones are what follows them."""
        if self._in_key or b"-----BEGIN" in text:
            text = b"".join(self._without_keys(text))
        return self._pattern.sub(_masked, text)

    def _without_keys(self, text: bytes) -> Iterator[bytes]:
        for line in text.splitlines(keepends=True):
            if self._in_key:
                self._in_key = _KEY_END.search(line) is None
            elif begin := _KEY_BEGIN.search(line):
                self._in_key = _KEY_END.search(line) is None
                yield line[: begin.start()] + MASK + b"\n"
            else:
                yield line


def mask_text(text: str, environment: Mapping[str, str]) -> str:
    """Mask one text by itself."""
    masked = Masker(environment).lines(text.encode(errors="replace"))
    return masked.decode(errors="replace")


def _secret_values(environment: Mapping[str, str]) -> Iterator[bytes]:
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_VALUE:
            yield value.encode(errors="surrogateescape")


def _masked(found: "re.Match[bytes]") -> bytes:
    named = found.groupdict()
    kept = next((named[name] for name in _KEPT if named[name] is not None), b"")
    space = b" " if named["scheme"] is not None else b""
    return kept + space + MASK
