"""promtool's view of the chart's rules: valid, firing for what they are about, silent otherwise."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from localcluster import debian
from tests.support.fixtures import REPOSITORY

RULES = REPOSITORY / "helm" / "trainingjob-operator" / "files" / "rules.yaml"
CASES = Path(__file__).parent / "alert_tests.yaml"


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Debian's."""
    return debian.unpacked("prometheus") / "usr/bin/promtool"


def test_the_rules_are_valid(promtool: Path) -> None:
    command = (promtool, "check", "rules", RULES)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "19 rules found" in result.stdout


def test_each_alert_fires_in_its_case_and_none_while_all_is_well(
    promtool: Path, tmp_path: Path
) -> None:
    shutil.copy(RULES, tmp_path)
    shutil.copy(CASES, tmp_path)
    command = (promtool, "test", "rules", tmp_path / CASES.name)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_has_a_case() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    cases = yaml.safe_load(CASES.read_text())["tests"]
    tested = {one["alertname"] for case in cases for one in case.get("alert_rule_test", [])}
    assert tested == {rule["alert"] for group in groups for rule in group["rules"]}
