"""The command line without a cluster: help, dry runs, and mistakes in the arguments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from trainingjob.commands.app import command_names

TJ = (sys.executable, "-m", "trainingjob")
# None of them is there for who only wants help; each takes longer to import than the help.
HEAVY = ("kubernetes", "mlflow", "pydantic", "rich")

NO_IMAGE = "name one by --image, by the variable TRAININGJOB_IMAGE, or by a --runtime that has one"


def tj(directory: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (*TJ, *arguments),
        cwd=directory,
        env={**os.environ, "KUBECONFIG": "/nowhere", "TRAININGJOB_IMAGE": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_imports_nothing_that_takes_long() -> None:
    script = (
        "import sys; from trainingjob.commands.app import app\n"
        "try: app(['--help'])\n"
        f"except SystemExit: print([one for one in {HEAVY} if one in sys.modules])"
    )
    done = subprocess.run(
        (sys.executable, "-c", script), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in done.stdout for name in command_names())


def test_kubectl_finds_it_as_a_plugin() -> None:
    project = Path(__file__).parents[3] / "client" / "pyproject.toml"
    text = project.read_text()
    assert 'tj = "trainingjob.__main__:main"' in text
    assert 'kubectl-tj = "trainingjob.__main__:main"' in text


def test_a_dry_run_needs_no_cluster_and_prints_what_would_be_created(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    done = tj(tmp_path, "run", "--image", "torch:1", "--dry-run", "--", "python", "train.py")
    assert (done.returncode, done.stderr) == (0, "")
    code, job = yaml.safe_load_all(done.stdout)
    assert (code["kind"], job["kind"]) == ("ConfigMap", "TrainingJob")
    assert job["metadata"]["name"].startswith("train-")
    assert job["spec"]["volumes"][0]["configMap"]["name"] == code["metadata"]["name"]

    (tmp_path / "job.yaml").write_text(done.stdout)
    again = tj(tmp_path, "run", "--file", "job.yaml", "--dry-run")
    assert list(yaml.safe_load_all(again.stdout)) == [code, job]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("--", "python", "train.py"),
            ["error: no image", f"→ {NO_IMAGE}"],
        ),
        (
            ("--image", "i"),
            ["error: no command", "→ tj run --image IMAGE -- python train.py, or -f job.yaml"],
        ),
        (
            ("--image", "i", "--file", "job.yaml", "--", "true"),
            ["error: --file and a command exclude each other", "→ leave one out"],
        ),
        (
            ("--local", "--dry-run", "--", "true"),
            ["error: --local and --dry-run exclude each other", "→ leave one out"],
        ),
        (
            ("--file", "nope.yaml"),
            ["error: nope.yaml cannot be read: No such file or directory", "→ name another file"],
        ),
        (
            ("--image", "i", "--env", "X", "--", "true"),
            ["error: --env 'X' is no variable", "→ write --env NAME=VALUE"],
        ),
        (
            ("--image", "i", "--workdir", "nope", "--", "true"),
            ["error: --workdir nope is no directory", "→ name the one with the code"],
        ),
        (
            ("--image", "i", "--name", "A_1", "--no-code", "--", "true"),
            [
                "error: --name 'A_1' is no name of a TrainingJob",
                ("→ at most 50 characters, only a-z, 0-9 and '-', starting with a letter and "
                "ending with a letter or digit"),
            ],
        ),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], error: list[str]) -> None:
    done = tj(tmp_path, "run", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == error


def test_a_terminal_of_another_code(tmp_path: Path) -> None:
    done = tj(tmp_path, "run", "--", "true", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.stderr.splitlines() == [
        "error: no image",
        f"? {NO_IMAGE}",
    ]


def test_a_rank_that_is_none(tmp_path: Path) -> None:
    done = tj(tmp_path, "logs", "mnist", "--rank", "first")
    assert done.stderr.splitlines() == [
        "error: --rank 'first' is no rank",
        "→ a number from 0, or all",
    ]


def test_the_image_may_be_named_once_for_all_in_the_environment(tmp_path: Path) -> None:
    done = tj(tmp_path, "run", "--no-code", "--dry-run", "--", "true", TRAININGJOB_IMAGE="i:1")
    assert yaml.safe_load(done.stdout)["spec"]["image"] == "i:1"


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("bash", {"COMP_WORDS": "tj st", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "tj st"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "tj st", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_completions(tmp_path: Path, shell: str, variables: dict[str, str]) -> None:
    """`tj --install-completion` writes what the shell sources; it then asks for the words."""
    source = tj(tmp_path, _TJ_COMPLETE=f"source_{shell}").stdout
    assert f"_TJ_COMPLETE=complete_{shell}" in source
    done = tj(tmp_path, _TJ_COMPLETE=f"complete_{shell}", **variables)
    offered = [word for word in ("status", "stacks", "stop", "suspend") if word in done.stdout]
    assert offered == ["status", "stacks", "stop"]
