"""What `make gpu` compares the monitor with."""

from tests.gpu.machine import Gpu, parse


def test_rows_of_nvidia_smi() -> None:
    answer = (
        "0, GPU-5e8d, 00000000:18:00.0, NVIDIA H100 80GB HBM3, 570.86.15, 81559, 4, 520, 700.00, 31"
        "\n1, GPU-77aa, 00000000:2A:00.0, NVIDIA A2, 570.86.15, 15356, 0, [N/A], [N/A], 40\n"
    )

    assert parse(answer) == [
        Gpu(
            *("0", "GPU-5e8d", "00000000:18:00.0", "NVIDIA H100 80GB HBM3", "570.86.15"),
            *(81559.0, 4.0, 520.0, 700.0, 31.0),
        ),
        Gpu(
            *("1", "GPU-77aa", "00000000:2A:00.0", "NVIDIA A2", "570.86.15"),
            *(15356.0, 0.0, None, None, 40.0),
        ),
    ]
