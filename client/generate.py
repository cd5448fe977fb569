"""Write what is made from other files: reasons.json, and the references of `tj` and of Python.

python client/generate.py [--check]
"""

import argparse
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
REASONS = ROOT / "client" / "trainingjob" / "reasons.json"
REFERENCE = ROOT / "docs" / "client" / "reference.md"
PYTHON = ROOT / "docs" / "client" / "python.md"
_ROW = re.compile(r"^\| `([A-Z]\w+)` \| (.+?) \| .+? \| (.+?) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)]\([^)]+\)")
_HEAD = """# Reference of tj

Written by `make manifests` from the code. `tj COMMAND --help` prints the same.
"""


def reasons(page: str) -> str:
    """The rows of the tables of reasons as JSON, as plain text."""
    found = {
        reason: {"meaning": _plain(meaning), "remedy": _plain(remedy)}
        for reason, meaning, remedy in _ROW.findall(page)
    }
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def reference() -> str:
    """The help of all commands as a page."""
    from trainingjob.commands.app import command_names

    pages = [_HEAD, *(_help(name) for name in ("", *command_names()))]
    return "\n".join(pages)


_PYTHON_HEAD = """# Reference of the Python client

Written by `make manifests` from the code. [The quickstart](quickstart.md#from-python) has examples.

```python
from trainingjob import Client, JobFailed, Run, UserError, job
```
"""
_MODULE = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
_WIDTH = 100
_RAISED = re.compile(r"^    (\w+): ", re.MULTILINE)


def python_reference() -> str:
    """The public classes and functions with their signatures and docstrings as a page."""
    import trainingjob
    from trainingjob.functions import Function, Options

    options = ", ".join(
        f"`{name}: {_annotation(kind)}`" for name, kind in Options.__annotations__.items()
    )
    parts = [
        _class("Client", trainingjob.Client),
        _class("Run", trainingjob.Run, made=False),
        _entry("##", "job", trainingjob.job),
        f"The options: {options}.\n",
        _class("Function", Function, made=False),
        _class("JobFailed", trainingjob.JobFailed, made=False),
        _class("UserError", trainingjob.UserError, made=False),
    ]
    return "\n".join([_PYTHON_HEAD, *parts])


def _class(name: str, kind: type, *, made: bool = True) -> str:
    """A class: how it is made, if people make it, its attributes and its methods."""
    head = _entry("##", name, kind) if made else f"## {name}\n\n{_docstring(kind)}\n"
    members = [
        _entry("###", f"{name}.{member}", found)
        for member, found in vars(kind).items()
        if not member.startswith("_") and (inspect.isfunction(found) or isinstance(found, property))
    ]
    return "\n".join([head, *members])


def _entry(level: str, name: str, found: Any) -> str:
    """A heading, the signature, or the type of a property, and the docstring."""
    called = name.rpartition(".")[2]
    if isinstance(found, property) and found.fget is not None:
        kind = inspect.signature(found.fget).return_annotation
        shown = f"{called}: {_annotation(kind)}"
    else:
        shown = _signature(called, inspect.signature(found))
    return f"{level} {name}\n\n```python\n{shown}\n```\n\n{_docstring(found)}\n"


def _signature(called: str, signature: inspect.Signature) -> str:
    """In one line, or a line for each parameter."""
    parameters = []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in parameters:
            parameters.append("*")
        if one.kind is one.VAR_KEYWORD:
            parameters.append(f"**{one.name}")
        elif one.kind is one.VAR_POSITIONAL:
            parameters.append(f"*{one.name}")
        elif one.name != "self":
            default = "" if one.default is one.empty else f" = {one.default!r}"
            parameters.append(f"{one.name}: {_annotation(one.annotation)}{default}")
    returned = signature.return_annotation
    end = ")" if returned in (None, signature.empty) else f") -> {_annotation(returned)}"
    line = f"{called}({', '.join(parameters)}{end}"
    if len(line) <= _WIDTH:
        return line
    lines = ",\n    ".join(parameters)
    return f"{called}(\n    {lines},\n{end}"


def _annotation(kind: Any) -> str:
    """A type as people write it, whatever the release of Python."""
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    text = _MODULE.sub("", text).replace("~", "")
    return re.sub(r"^Union\[(\w+), (.+)]$", r"\1 | \2", text)


def _docstring(found: object) -> str:
    """As Markdown: what it raises is a list."""
    text = inspect.getdoc(found) or ""
    before, raises, after = text.partition("Raises:\n")
    if not raises:
        return text
    listed = _RAISED.sub(r"- `\1`: ", re.sub(r"\n {8}", "\n  ", after))
    return f"{before}Raises:\n\n{listed}"


def _help(name: str) -> str:
    """The help of one command as a shell prints it, whatever the size of the terminal."""
    command = [sys.executable, "-m", "trainingjob", *([name] if name else []), "--help"]
    wide = {"COLUMNS": "100", "TERM": "dumb", "PATH": ""}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=wide).stdout
    text = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return f"## {f'tj {name}' if name else 'tj'}\n\n```\n{text}\n```\n"


def _plain(cell: str) -> str:
    return _LINK.sub(r"\1", cell).replace("`", "")


def main() -> int:
    """Write the files, or with --check say which are not what they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = {
        REASONS: reasons(TROUBLESHOOTING.read_text()),
        REFERENCE: reference(),
        PYTHON: python_reference(),
    }
    stale = [path for path, text in wanted.items() if not _has(path, text)]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)} is stale: make manifests", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
    return 1 if check and stale else 0


def _has(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    raise SystemExit(main())
