"""Which GPU one is: its number means little on a node of many pods."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

GPU_SHARED = "TRAININGJOB_GPU_SHARED"
"""The operator's: `true` where the job asks for a share of a GPU."""
MPS_PIPE = "CUDA_MPS_PIPE_DIRECTORY"


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """What the driver says of a GPU; empty where it says nothing.

    Attributes:
        index: number in this container, as in `nvidia-smi`.
        uuid: as in CUDA_VISIBLE_DEVICES, such as GPU-5e8d….
        pci_address: such as 00000000:65:00.0, as the kernel's log has it.
        name: such as NVIDIA H100 80GB HBM3.
        sharing: MIG, MPS or time-slicing, by which others may compute on it, too.
        driver: version of the driver.
    """

    index: int
    uuid: str = ""
    pci_address: str = ""
    name: str = ""
    sharing: str = ""
    driver: str = ""

    def __str__(self) -> str:
        """Return how a person on the node finds it."""
        found = ", ".join(one for one in (self.uuid, self.pci_address) if one)
        return f"GPU {self.index} ({found})" if found else f"GPU {self.index}"

    def describe(self) -> str:
        """Return all of it in one line."""
        driver = f"driver {self.driver}" if self.driver else ""
        sharing = f"shared by {self.sharing}" if self.sharing else ""
        return ", ".join(one for one in (str(self), self.name, sharing, driver) if one)


def sharing_of(environment: Mapping[str, str] = os.environ, *, mig: bool = False) -> str:
    """Return by what the job's GPUs are shared, as far as the pod can know; empty if nothing says.

    NVIDIA's device plugin gives clients of MPS its pipe. A slice of time looks like a whole GPU,
    unless the job asked for one by name (`nvidia.com/gpu.shared`), which the operator passes on, or
    got two of the same GPU.

    Args:
        environment: of this process.
        mig: whether it is in MIG mode; instances can be shared, too.
    """
    given = [entry for entry in _given(environment) if entry.startswith(("GPU-", "MIG-"))]
    sliced = environment.get(GPU_SHARED) == "true" or len(set(given)) < len(given)
    kinds = {
        "MIG": mig,
        "MPS": MPS_PIPE in environment,
        "time-slicing": sliced and MPS_PIPE not in environment,
    }
    return " and ".join(kind for kind, applies in kinds.items() if applies)


def visible_gpus(uuids: list[str], environment: Mapping[str, str] = os.environ) -> list[int]:
    """Return which of the GPUs that the driver lists are the job's.

    In most pods that is all: the driver lists what the container runtime has let in. A privileged
    one sees every GPU of its node. CUDA counts as CUDA_VISIBLE_DEVICES says (CUDA C++ Programming
    Guide, "CUDA Environment Variables"); NVIDIA_VISIBLE_DEVICES is what the device plugin gives,
    whose numbers are the node's and mean nothing here.

    Args:
        uuids: of each GPU; empty for one that does not report it.
        environment: of this process.
    """
    everything = list(range(len(uuids)))
    for_cuda = environment.get("CUDA_VISIBLE_DEVICES")
    if for_cuda is not None:
        return chosen_gpus(for_cuda, uuids)
    given = _given(environment)
    if not all(entry.startswith("GPU-") for entry in given):
        return everything
    mine = [index for index in everything if uuids[index] in ("", *given)]
    return mine or everything


def _given(environment: Mapping[str, str]) -> list[str]:
    """Return what the device plugin has given, without the number of a slice, as `GPU-5e8d::2`."""
    entries = environment.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
    return [entry.partition("::")[0] for entry in entries]


def chosen_gpus(variable: str, uuids: list[str]) -> list[int]:
    """Return which GPUs an environment variable chooses, as CUDA and ROCm read it."""
    visible: list[int] = []
    for entry in map(str.strip, variable.split(",")):
        if entry.startswith("MIG"):
            return list(range(len(uuids)))  # the parent is not in the name
        found = [
            index
            for index, uuid in enumerate(uuids)
            if entry == str(index) or (entry.startswith("GPU-") and uuid.startswith(entry))
        ]
        if not found:
            break  # CUDA ignores whatever follows
        visible += found
    return sorted(set(visible))
