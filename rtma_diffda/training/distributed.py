"""Several processes that train one model together: the only place that knows ``torch.distributed``.

Launch with ``torchrun --nproc-per-node=N``; without it there is one process, and nothing here does anything. Every
process holds the whole model, works through its share of each batch, and adds up gradients with the others. Layers
with running statistics (batch normalisation) see only their process's share; the first process's are kept.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class Processes:
    """This process among the others.

    Attributes:
        rank: its number, 0 … count − 1; the first one writes.
        count: how many there are.
        device: where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and shows progress."""
        return self.rank == 0

    def share(self, items: int) -> range:
        """Which of 0 … items − 1 are this process's to do."""
        return range(self.rank, items, self.count)

    def require_share(self, parts: int) -> None:
        """Refuse a number of parts of a batch that these processes cannot share equally.

        Raises:
            UsageError: it is no multiple of the number of processes.
        """
        if parts % self.count:
            raise UsageError(f"{self.count} processes cannot share batches of {parts} parts; set parts to a multiple")

    def add(self, values: Tensor) -> None:
        """Replace ``values``, in place, by their sum over processes."""
        if self.count > 1:
            dist.all_reduce(values)

    @torch.no_grad()
    def copy_first(self, model: torch.nn.Module) -> None:
        """Give the weights and buffers of the first process to all."""
        if self.count == 1:
            return
        for values in model.state_dict().values():
            sent = values.contiguous()
            dist.broadcast(sent, src=0)
            values.copy_(sent)


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """This process among those that torchrun started; they part at the end of the body.

    Args:
        device: "cpu", "cuda", or one device such as "cuda:1"; with several processes "cuda" becomes one a process.

    Raises:
        UsageError: the device is unknown, or there is no GPU.
    """
    chosen = _device(device)
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    joined_before = dist.is_initialized()
    if not joined_before:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        if not joined_before:
            dist.destroy_process_group()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device '{name}' is unknown; expected cpu or cuda") from error
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise UsageError(f"device '{name}' was asked for, and this machine has no usable GPU")
    if device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
