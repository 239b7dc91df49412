"""A process that forks writers to be killed. Started once, so that a kill costs no import of torch and zarr.

Reads one JSON task a line. The forked writer prints its process id and begins; when it has ended, its parent prints
the signal that ended it, or minus its exit status. With ``kill_at`` the writer kills itself at its n-th file operation
below the root (opening, renaming, linking, removing, making a directory), which reaches every state that a file system
can be left in.
"""

import json
import os
import signal
import sys
from pathlib import Path

from archive_products import make_archive, make_product

_OPERATIONS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}


def write(task: dict) -> None:
    archive = make_archive(Path(task["root"]), zarr_format=task["zarr_format"])
    products = [make_product(slot, seed=seed) for slot, seed in task["writes"]]
    operations = watch(task["root"], task["kill_at"])
    print(os.getpid(), flush=True)
    for product in products:
        archive.write(product, overwrite=task["overwrite"])
    print(operations[0], file=sys.stderr, flush=True)


def watch(root: str, kill_at: int | None) -> list[int]:
    operations = [0]

    def count(event: str, arguments: tuple) -> None:
        if event in _OPERATIONS and any(str(argument).startswith(root) for argument in arguments[:2]):
            operations[0] += 1
            if operations[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    return operations


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write(json.loads(line))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(-status, flush=True)


if __name__ == "__main__":
    main()
