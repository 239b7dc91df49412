import math
import time

import torch

from rtma_diffda.experiments.measured import measured


def test_seconds_and_memory_of_a_call():
    result, taken = measured(lambda: (time.sleep(0.05), torch.ones(20_000_000).sum())[1])
    assert float(result) == 20_000_000
    assert taken.seconds >= 0.05
    assert math.isnan(taken.memory_bytes) or 6e7 < taken.memory_bytes < 4e8


def test_a_call_that_allocates_nothing_takes_little():
    _, taken = measured(lambda: 1)
    assert math.isnan(taken.memory_bytes) or taken.memory_bytes < 2e7
