"""Faults of the method: numbers that are not finite, memory, accelerators, checkpoints."""

import shutil
from collections.abc import Callable, Sequence

import torch
from faults_finding import AGREE, Fault, Finding, labels_kept, reasons_at, short, unharmed
from faults_kill import preceded
from faults_place import TIMES, Place

from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.assimilation.on_device import OnDevice
from rtma_diffda.experiments import cycle_methods
from rtma_diffda.resources import resource_directory

_DIFFUSION = "method.name=diffusion"
_CHECKPOINT = "denoiser"


def failing(
    place: Place,
    sabotage: Callable[[], None] | None,
    said: Sequence[str],
    *,
    overrides: Sequence[str] = (_DIFFUSION,),
    again_complete: bool = True,
) -> Finding:
    """What becomes of a cycle whose method fails, and of the next one, whose method does not."""
    place.supply()
    attempt = place.cycle(*overrides, end=TIMES[0], sabotage=sabotage)
    checks, label = {}, reasons_at(place, TIMES[0])
    for one in said:
        checks |= labels_kept(place, attempt, [TIMES[0]], one)
    before = place.stored()
    again = place.cycle(*overrides, end=TIMES[1])
    after = place.stored()
    expected = "complete" if again_complete else "degraded"
    found = after[TIMES[1]].status if TIMES[1] in after else "missing"
    checks[f"the next cycle is {expected} (found {found})"] = found == expected
    return Finding(
        "yes" if TIMES[0] in before else "NO",
        f"{short(label, 200)}; journal {'the same' if checks[AGREE] else 'NOT the same'}; exit {attempt.status}",
        bool(before) and unharmed(before, after),
        f"the next cycle is {found}; {again.seconds:.0f} s",
        checks,
    )


def not_a_number() -> None:
    DenoisingNetwork.forward = lambda self, noisy, *_: torch.full_like(noisy, torch.nan)


def little_memory(most: int) -> Callable[[], None]:
    """There is memory for so many members."""

    def starve(method: DiffusionAssimilation, *_: object, **__: object) -> None:
        if method.members > 4 > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if method.members > most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory")

    return lambda: preceded(DiffusionAssimilation, "analyse", starve)


def failing_accelerator() -> None:
    """There is one, which fails at its first work."""
    cycle_methods._on_device = lambda method, device: method

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    preceded(OnDevice, "analyse", fail)


def gpu_absent(place: Place) -> Finding:
    said = ["the accelerator cannot be used", "analysed on the processor"]
    return failing(place, None, said, overrides=(_DIFFUSION, "method.device=cuda"), again_complete=False)


def gpu_failing(place: Place) -> Finding:
    said = ["the accelerator failed; on the processor instead"]
    return failing(place, failing_accelerator, said, overrides=(_DIFFUSION, "method.device=cuda"), again_complete=False)


def damaged_checkpoint(place: Place) -> Finding:
    """One bit of the weights is another."""
    place.supply()
    own = place.inputs / _CHECKPOINT
    shutil.copytree(resource_directory("checkpoints") / _CHECKPOINT, own)
    overrides = (_DIFFUSION, f"method.checkpoint=inputs/{_CHECKPOINT}")
    place.cycle(*overrides, end=TIMES[0])
    before, weights = place.stored(), own / "model.safetensors"
    sound = weights.read_bytes()
    middle = len(sound) // 2
    weights.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    attempt = place.cycle(*overrides, end=TIMES[1])
    left = place.stored()
    weights.write_bytes(sound)
    again = place.cycle(*overrides, end=TIMES[1])
    checks = {
        f"exit status 3 (found {attempt.status})": attempt.status == 3,
        "a sentence names the file": "model.safetensors" in attempt.sentence and "damaged" in attempt.sentence,
        f"mended, the next start completes (exit status {again.status})": (again.status, len(place.stored())) == (0, 2),
    }
    published = f"{len(left) - len(before)} of 1, then {len(place.stored()) - len(before)}"
    label = f"exit {attempt.status}: {short(attempt.sentence)}"
    return Finding(published, label, bool(before) and unharmed(before, left), f"mended: {again.headline}", checks)


FAULTS = (
    Fault("the network answers NaN", "optimal interpolation instead; labelled, exit status 4",
          lambda place: failing(place, not_a_number, ["no usable answer; optimal interpolation instead"])),
    Fault("memory for 4 members of 8 (simulated)", "4 members; labelled, exit status 4",
          lambda place: failing(place, little_memory(4), ["diffusion: out of memory; 4 members instead"])),
    Fault("memory for 2 members of 8 (simulated)", "2 members; labelled, exit status 4",
          lambda place: failing(place, little_memory(2), ["4 members: out of memory; 2 members instead"])),
    Fault("memory for no member (simulated)", "optimal interpolation instead; labelled, exit status 4",
          lambda place: failing(place, little_memory(0), ["out of memory; optimal interpolation instead"])),
    Fault("accelerator asked for and absent", "analysed on the processor; labelled, exit status 4", gpu_absent),
    Fault("accelerator fails in the middle (simulated)", "analysed on the processor; labelled, exit status 4",
          gpu_failing),
    Fault("checkpoint damaged", "refused at the start in a sentence, exit status 3; mended, the run goes on",
          damaged_checkpoint),
)  # fmt: skip
