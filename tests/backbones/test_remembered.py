"""What follows from weights is kept until they change."""

import torch

from rtma_diffda.backbones.remembered import Remembered


def counted(weight):
    calls = []

    def make():
        calls.append(1)
        return 2.0 * weight

    return calls, make


def test_kept_without_gradients_and_made_anew_for_changed_weights():
    weight, kept = torch.ones(3, requires_grad=True), Remembered()
    calls, make = counted(weight)
    with torch.no_grad():
        assert kept([weight], make) is kept([weight], make) and len(calls) == 1
        weight.add_(1.0)
        assert kept([weight], make).tolist() == [4.0] * 3 and len(calls) == 2
        weight.data = torch.zeros(3)
        assert kept([weight], make).tolist() == [0.0] * 3


def test_not_kept_where_a_gradient_is_asked_for():
    weight, kept = torch.ones(3, requires_grad=True), Remembered()
    calls, make = counted(weight)
    for _ in range(2):
        assert kept([weight], make).requires_grad
    assert len(calls) == 2
    frozen = weight.detach()
    assert kept([frozen], make) is kept([frozen], make) and len(calls) == 3


def test_kept_for_one_precision_and_mode_at_a_time():
    weight, kept = torch.ones(3), Remembered()
    calls, make = counted(weight)
    with torch.inference_mode():
        kept([weight], make)
    assert not kept([weight], make).is_inference() and len(calls) == 2
    with torch.autocast("cpu", torch.bfloat16):
        kept([weight], make)
    assert len(calls) == 3
    kept.forget()
    with torch.autocast("cpu", torch.bfloat16):
        kept([weight], make)
    assert len(calls) == 4
    with torch.inference_mode():
        fresh = torch.ones(3)
    assert kept([fresh], make) is not kept([fresh], make)  # changes of such weights leave no trace
