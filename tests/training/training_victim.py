"""Trainings in processes of their own: to be killed, or to share the work.

    python training_victim.py ROOT              all of the below, as forks of one process (importing torch is slow)
    torchrun … training_victim.py ROOT share    train in ROOT/share as one of several processes

``update`` dies of SIGKILL in the loss of update 17, ``save`` while its second state gets its name; both leave
ROOT/NAME as it is then. How each fork ended goes to ROOT/statuses.json.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from toy_learning import Noisy, line_rows, quick

from rtma_diffda.training.loop import train

KILLED = quick(parts=2)
SHARED = quick(parts=2, updates=25)


class Dying(Noisy):
    """Kills its process in the loss of update 17."""

    passes = 0

    def loss(self, batch, *, generator):
        self.passes += self.training
        if self.passes > 16 * KILLED.parts:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(batch, generator=generator)


def die_at_second_rename() -> None:
    renames = []

    def count(event: str, arguments: tuple) -> None:
        if event == "os.rename" and str(arguments[1]).endswith("state.safetensors"):
            renames.append(arguments)
            if len(renames) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def trained(model, directory: Path, settings) -> None:
    train(model, line_rows(64), validation=line_rows(30, seed=1), settings=settings, directory=directory)


def update(root: Path) -> None:
    trained(Dying(), root / "update", KILLED)


def save(root: Path) -> None:
    die_at_second_rename()
    trained(Noisy(), root / "save", KILLED)


def share(root: Path) -> None:
    model = Noisy(running=False)
    with torch.no_grad():
        model.out.bias += int(os.environ["RANK"])  # a process that kept other weights would spoil the result
    trained(model, root / "share", SHARED)
    if os.environ["RANK"] == "0":
        torch.save(model.state_dict(), root / "final.pt")


def forked(task, root: Path, **environment: str) -> int:
    child = os.fork()
    if child:
        return child
    os.environ.update(environment)
    status = 1
    try:
        task(root)
        status = 0
    finally:
        os._exit(status)


def main(root: Path, only_share: str = "") -> None:
    torch.set_num_threads(1)
    if only_share:
        share(root)
        return
    children = {"update": forked(update, root), "save": forked(save, root)}
    for rank in ("0", "1"):
        children[rank] = forked(share, root, RANK=rank, WORLD_SIZE="2")
    statuses = {name: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for name, child in children.items()}
    (root / "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
