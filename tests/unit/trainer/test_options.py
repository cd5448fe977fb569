"""A flag overrides the environment, which overrides the file, which overrides the default."""

from pathlib import Path

import pytest
from trainingjob_trainer.command_line import parse_options
from trainingjob_trainer.options import RunOptions
from trainingjob_trainer.reading import StepRange

ALL = {
    "task": "digits:Digits",
    "epochs": 7,
    "batch_size": 16,
    "accumulate": 4,
    "learning_rate": 0.1,
    "schedule": "cosine",
    "warmup_steps": 10,
    "clip_norm": 1.0,
    "max_not_finite": 10,
    "precision": "bf16",
    "parallel": "fsdp2",
    "compile": True,
    "initial_weights": "models:/digits/1",
    "evaluate_only": True,
    "seed": 3,
    "best_metric": "accuracy",
    "best_mode": "max",
    "patience": 2,
    "report_seconds": 0.0,
    "peak_teraflops": 312.0,
    "checkpoint_dir": Path("/checkpoints"),
    "checkpoint_every_seconds": 60.0,
    "checkpoint_keep": 2,
    "adopt_checkpoints": True,
    "stop_seconds": 20.0,
    "model_seconds": 90.0,
    "registered_model_name": "digits",
    "collective_seconds": 120.0,
    "hang_seconds": 60.0,
    "profile_steps": StepRange(10, 15),
    "monitor_level": "full",
    "model_dir": Path("/models"),
}
BOOLEANS = ("compile", "evaluate_only", "adopt_checkpoints")


def test_the_defaults() -> None:
    assert parse_options(["run", "mnist"], {}) == RunOptions(task="mnist")


def test_all_options_can_be_flags() -> None:
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in ALL.items()
        if name not in {"task", *BOOLEANS}
    ]

    booleans = [f"--{name.replace('_', '-')}" for name in BOOLEANS]
    options = parse_options(["run", "digits:Digits", *booleans, *flags], {})

    assert options == RunOptions(**ALL)  # type: ignore[arg-type]  # a table of all types
    assert options.params() == ALL


def test_all_options_can_be_in_the_environment() -> None:
    environment = {f"TRAININGJOB_OPTION_{name.upper()}": str(value) for name, value in ALL.items()}

    assert parse_options(["run"], environment) == RunOptions(**ALL)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("options.toml", 'task = "mnist"\nlearning_rate = 1e-3\ncompile = true\nepochs = 2'),
        ("options.json", '{"task": "mnist", "learning_rate": 0.001, "compile": true, "epochs": 2}'),
    ],
)
def test_options_can_be_in_a_file(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    expected = RunOptions(task="mnist", learning_rate=0.001, compile=True, epochs=2)

    assert parse_options(["run", "--options", str(file)], {}) == expected
    assert parse_options(["run"], {"TRAININGJOB_OPTIONS_FILE": str(file)}) == expected


def test_the_nearest_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    file.write_text('task = "mnist"\nepochs = 1\nbatch_size = 1\nseed = 1')
    environment = {"TRAININGJOB_OPTION_EPOCHS": "2", "TRAININGJOB_OPTION_BATCH_SIZE": "2"}

    options = parse_options(["run", "--options", str(file), "--epochs", "3"], environment)

    assert (options.epochs, options.batch_size, options.seed) == (3, 2, 1)


def test_a_flag_switches_off_what_the_environment_switched_on() -> None:
    environment = {"TRAININGJOB_OPTION_COMPILE": "true"}

    assert parse_options(["run", "mnist"], environment).compile
    assert not parse_options(["run", "mnist", "--no-compile"], environment).compile


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["run"], {}, "which task?"),
        (["run", "mnist", "--epochs", "0"], {}, "--epochs: must be at least 1, not 0"),
        (["run", "mnist", "--learning-rate", "nan"], {}, "must be a number above 0, not nan"),
        (["run", "mnist", "--precision", "fp8"], {}, "must be one of fp32, bf16, fp16, not 'fp8'"),
        (
            ["run", "mnist"],
            {"TRAININGJOB_OPTION_EPOCHS": "many"},
            "TRAININGJOB_OPTION_EPOCHS: invalid literal",
        ),
        (
            ["run", "mnist"],
            {"TRAININGJOB_OPTION_EPOCH": "1"},
            "TRAININGJOB_OPTION_EPOCH: there is no option 'epoch'",
        ),
        (
            ["run", "mnist", "--profile-steps", "15:10"],
            {},
            "--profile-steps: must be two steps such as 10:15, not '15:10'",
        ),
        (
            ["run", "mnist", "--registered-model-name", "team/digits"],
            {},
            "--registered-model-name: must be a name without / and :, not 'team/digits'",
        ),
        (["run", "mnist", "--options", "/absent.toml"], {}, "options file /absent.toml: "),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str],
    environment: dict[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse_options(arguments, environment)

    assert raised.value.code == 2
    assert message in capsys.readouterr().err
