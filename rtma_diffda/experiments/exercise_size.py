"""``ExerciseSize``: how much an exercise simulates and learns; what its running time depends on."""

from dataclasses import dataclass

from rtma_diffda.experiments.settings import require_between


@dataclass(frozen=True)
class ExerciseSize:
    """Names and meanings as in ``conf/reproduce.yaml``."""

    cells: int = 48
    training_runs: int = 96
    validation_runs: int = 12
    test_runs: int = 24
    sites: int = 60
    updates: int = 1000
    batch_size: int = 16

    def __post_init__(self) -> None:
        require_between("size.cells", self.cells, 8, 512)
        for name in ("training_runs", "validation_runs", "test_runs"):
            require_between(f"size.{name}", getattr(self, name), 1, 100_000)
        require_between("size.sites", self.sites, 4, self.cells**2 // 4)
        require_between("size.updates", self.updates, 1, 1_000_000)
        require_between("size.batch_size", self.batch_size, 1, 4096)
