"""Settings of a task: the arguments of its constructor, from flags, environment and file."""

from pathlib import Path
from typing import Literal

import pytest
from trainingjob_agent.causes.reasons import classify
from trainingjob_trainer.command_line import parse_options
from trainingjob_trainer.settings import Given, SettingError, read_settings

from tests.integration.trainer.attempts import Attempts


class Everything:
    """A task with a setting of each kind."""

    def __init__(
        self,
        channels: int = 16,
        rate: float = 0.5,
        augment: bool = False,
        mode: Literal["small", "large"] = "small",
        data: Path | None = None,
        widths: tuple[int, ...] = (1, 2),
    ) -> None: ...


class Needy:
    def __init__(self, data: str) -> None: ...


class Nothing: ...


DEFAULTS = {
    "channels": 16,
    "rate": 0.5,
    "augment": False,
    "mode": "small",
    "data": None,
    "widths": (1, 2),
}


def read(factory: type, **given: object) -> dict[str, object]:
    return read_settings("t", factory, {k: Given(v, f"--set {k}") for k, v in given.items()})


def test_without_settings_the_defaults_hold() -> None:
    assert read(Everything) == DEFAULTS
    assert read(Nothing) == {}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("channels", "8", 8),
        ("channels", 8, 8),
        ("rate", "1e-3", 0.001),
        ("rate", 1, 1.0),
        ("augment", "true", True),
        ("augment", False, False),
        ("mode", "large", "large"),
        ("data", "/data", Path("/data")),
        ("widths", "[3, 4]", (3, 4)),
        ("widths", [3, 4], (3, 4)),
    ],
)
def test_a_setting_gets_the_type_of_its_argument(name: str, given: object, value: object) -> None:
    assert read(Everything, **{name: given}) == {**DEFAULTS, name: value}


@pytest.mark.parametrize(
    ("factory", "given", "message"),
    [
        (Everything, {"channels": "many"}, "--set channels: Input should be a valid integer"),
        (Everything, {"mode": "huge"}, "--set mode: Input should be 'small' or 'large'"),
        (Everything, {"chanels": "8"}, "--set chanels: task t has no setting 'chanels'; it has "),
        (
            Nothing,
            {"channels": "8"},
            "--set channels: task t has no setting 'channels'; it has none",
        ),
        (Needy, {}, "task t needs the setting 'data': --set data=VALUE"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    factory: type, given: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingError) as raised:
        read(factory, **given)

    assert str(raised.value).startswith(message)
    assert classify(raised.value) == "InvalidConfiguration"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("o.toml", "[settings]\na = 1\nb = 1\nc = 1"),
        ("o.json", '{"settings": {"a": 1, "b": 1, "c": 1}}'),
    ],
)
def test_the_nearest_source_wins(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    environment = {"TRAININGJOB_SETTING_B": "2", "TRAININGJOB_SETTING_C": "2"}

    options = parse_options(
        ["run", "mnist", "--options", str(file), "--set", "c=3", "--set", "long-name=x=y"],
        environment,
    )

    assert options.settings == {
        "a": Given(1, f"settings.a in {file}"),
        "b": Given("2", "TRAININGJOB_SETTING_B"),
        "c": Given("3", "--set c"),
        "long_name": Given("x=y", "--set long_name"),
    }
    assert "settings" not in options.params()


def test_a_setting_without_a_value_is_no_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["run", "mnist", "--set", "noise"], {})

    assert "--set noise: expected NAME=VALUE" in capsys.readouterr().err


def test_a_wrong_setting_ends_the_training_before_it_begins(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, ("--set", "noise=loud"), task="mnist-denoise")

    assert attempts.run() == [1]

    assert "--set noise: Input should be a valid number" in (attempts.output())
    assert '"reason": "InvalidConfiguration"' in (tmp_path / "termination-log").read_text()
