"""Where bfloat16 pays: processors that multiply it themselves. Others convert, at a third of the speed of float32."""

import torch

_MULTIPLIERS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")  # capabilities of x86 and ARM cores


def fast_in_bfloat16(device: torch.device) -> bool:
    """True where ``device`` multiplies bfloat16 faster than float32; False where that is not known."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.11
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _MULTIPLIERS)
