"""Where bfloat16 is used unless told."""

import pytest
import torch

from rtma_diffda.backbones.precision import fast_in_bfloat16


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_processors_with_and_without_multipliers(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fast_in_bfloat16(torch.device("cpu")) is expected


def test_unknown_processors_stay_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not fast_in_bfloat16(torch.device("cpu"))
    assert not fast_in_bfloat16(torch.device("meta"))
