"""What becomes of a script's output in its run: bounded, without secrets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_agent.logs.masking import Masker, mask_text
from trainingjob_agent.logs.output import Output

# Put together here, so that no scanner takes this file for a leak.
GITHUB = "ghp" + "_" + "a1B2" * 9
JSON_WEB_TOKEN = "eyJhbGciOiJI.eyJzdWIiOiIx" + ".c2lnbmF0dXJl"
ENVIRONMENT = {
    "WANDB_API_KEY": "0123456789abcdef",
    "DB_PASSWORD": "correct horse",
    "SHORT_TOKEN": "abc",
    "HOME": "/home/trainer",
}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("step 3, loss 0.25", "step 3, loss 0.25"),
        ("id AKIA" + "ABCDEFGHIJKLMNOP.", "id [masked]."),
        (f"aws_secret_access_key = {'a/B+' * 10}", "aws_secret_access_key = [masked]"),
        (f"cloning with {GITHUB}", "cloning with [masked]"),
        ("login hf" + "_" + "aB" * 17, "login [masked]"),
        (f"got {JSON_WEB_TOKEN}", "got [masked]"),
        ("Authorization: Bearer abcdef123456==", "Authorization: Bearer [masked]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic [masked]"),
        ("https://user:pass@mlflow:5000/x", "https://user:[masked]@mlflow:5000/x"),
        ("https://mlflow:5000/a@b", "https://mlflow:5000/a@b"),
        ("wandb: 0123456789abcdef", "wandb: [masked]"),
        ("password 'correct horse'", "password '[masked]'"),
        ("abc /home/trainer", "abc /home/trainer"),
        (
            "key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nstep 4\n",
            "key:\n[masked]\nstep 4\n",
        ),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert mask_text(text, ENVIRONMENT) == masked


def test_a_private_key_is_masked_over_several_calls() -> None:
    masker = Masker({})
    parts = [
        b"-----BEGIN PRIVATE KEY-----\nMIIE\n",
        b"AbCd\n-----END PRIVATE KEY-----\n",
        b"done\n",
    ]

    assert [masker.lines(part) for part in parts] == [b"[masked]\n", b"", b"done\n"]


@given(text=st.binary(max_size=200))
def test_any_bytes_can_be_masked(text: bytes) -> None:
    Masker(ENVIRONMENT).lines(text)


def test_the_output_is_written_as_far_as_its_lines_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "node-0.txt"
    output = Output({})

    output.add(b"step 1\nste")
    assert output.save(file)
    assert file.read_bytes() == b"step 1\n"

    assert not output.save(file), "nothing new"
    output.add(b"p 2\n 10%\r 20%\r 30%\r\nthe e")
    output.add(b"nd")
    assert output.save(file, complete=True)
    assert file.read_bytes() == b"step 1\nstep 2\n 30%\nthe end"


def test_of_much_output_head_and_tail_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "node-0.txt"
    output = Output({}, head_bytes=14, tail_bytes=40_000)

    for step in range(10_000):
        output.add(f"step {step}\n".encode())
        if step % 1_000 == 0:
            output.save(file)
    output.save(file, complete=True)

    head, note, *tail = file.read_text().split("\n[")
    assert head == "step 0\nstep 1\n"
    assert "bytes are left out here" in note
    assert not tail
    assert file.read_text().endswith("step 9998\nstep 9999\n")
    assert file.stat().st_size < 14 + 100 + 40_000


def test_half_a_secret_is_not_shown_where_output_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "node-0.txt"
    output = Output(ENVIRONMENT, head_bytes=0, tail_bytes=40_000)

    # 16 KiB go at a time: the cut is in the middle of a value.
    output.add(b"x" * (16 * 1024 - 8) + b"0123456789abcdef\n" + b"y\n" * 15_000)
    output.save(file, complete=True)

    assert b"89abcdef" not in file.read_bytes()
    assert file.read_bytes().endswith(b"y\ny\n")
