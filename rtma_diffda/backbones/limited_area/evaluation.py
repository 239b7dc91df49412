"""``Evaluation``: how a graph network is computed. None of it changes the result by more than rounding."""

from dataclasses import dataclass

from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class Evaluation:
    """What time and memory are traded for each other with.

    Attributes:
        chunk: receivers × members that the encoder and the decoder work through at a time; None: all at once. Slices of
            receivers are independent, so there is no halo.
        recompute: compute the activations of chunks and mesh layers again in the backward pass instead of keeping them.
        split: multiply W[e, x_s, x_r] as W_e e + W_s x_s + W_r x_r, with nodes projected before they are gathered:
            neither the threefold concatenation nor two thirds of the work on edges.
        keep_static: outside training, keep what depends on edge features and weights alone from call to call.
        fixed_degree: sum the messages of nodes that all have equally many edges by a reshape, without scattering.
    """

    chunk: int | None = None
    recompute: bool = False
    split: bool = True
    keep_static: bool = True
    fixed_degree: bool = True

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise UsageError(f"a chunk has one receiver or more; found {self.chunk}")

    def slices(self, receivers: int, members: int) -> list[tuple[int, int]]:
        """First and last-plus-one receiver of each chunk."""
        size = receivers if self.chunk is None else max(1, self.chunk // members)
        return [(first, min(first + size, receivers)) for first in range(0, receivers, size)]
