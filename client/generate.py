"""Write what is made from other files: reasons.json of the client, and the reference of `tj`.

python client/generate.py [--check]
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
REASONS = ROOT / "client" / "trainingjob" / "reasons.json"
REFERENCE = ROOT / "docs" / "client" / "reference.md"
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
    wanted = {REASONS: reasons(TROUBLESHOOTING.read_text()), REFERENCE: reference()}
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
