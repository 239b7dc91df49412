import math
import time

import torch

from rtma_diffda.experiments.measured import measured


def test_seconds_and_memory_of_a_call():
    told = []
    for _ in range(3):  # a system short of memory may take pages of the process away meanwhile
        result, taken = measured(lambda: (time.sleep(0.05), torch.ones(20_000_000).sum())[1])
        assert float(result) == 20_000_000
        assert taken.seconds >= 0.05
        told.append(taken.memory_bytes)
    assert any(math.isnan(memory) or 6e7 < memory < 4e8 for memory in told)


def test_a_call_that_allocates_nothing_takes_little():
    _, taken = measured(lambda: 1)
    assert math.isnan(taken.memory_bytes) or taken.memory_bytes < 2e7
