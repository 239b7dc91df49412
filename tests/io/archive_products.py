"""Products and archives that the tests of storage build on; each product is told by its slot and seed."""

from pathlib import Path

import numpy as np
import torch
from builders import small_grid, small_static

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.product import Product
from rtma_diffda.times import SLOT

MIDNIGHT = np.datetime64("2026-01-01T00:00", "ns")
LAYOUT = Layout.of(small_grid(), ("t2m", "u10m", "ceil"))


def slot_time(index: int) -> np.datetime64:
    return MIDNIGHT + index * SLOT


def make_product(slot: int, *, seed: int = 0, members: int = 1, layout: Layout = LAYOUT, **changes) -> Product:
    generator = torch.Generator().manual_seed(1000 * seed + slot)
    values = 280.0 + torch.randn(members, *layout.shape, generator=generator)
    analysis = State(values, layout, slot_time(slot))
    parts = {
        "background": analysis.with_values(values - 1.5),
        "error_std": torch.rand(layout.shape, generator=generator),
        "provenance": {"method": "optimal_interpolation", "background": "simulated", "seed": float(seed)},
    }
    return Product(
        domain="test",
        analysis=analysis,
        static=small_static(layout.grid),
        created=slot_time(slot) + np.timedelta64(321, "s"),
        obs_cutoff=slot_time(slot) + SLOT,
        **{**parts, **changes},
    )


def make_design(*, zarr_format: int = 2, members: int = 0, layout: Layout = LAYOUT) -> ArchiveDesign:
    return ArchiveDesign(layout, small_static(layout.grid), "test", members=members, zarr_format=zarr_format)


def make_archive(root: Path, *, zarr_format: int = 2, members: int = 0) -> Archive:
    return Archive.open(root, make_design(zarr_format=zarr_format, members=members))


def holds(archive: Archive, product: Product) -> bool:
    """Whether the archive holds exactly this product: every field bit for bit, and its own text."""
    stored = archive.read(product.valid_time)
    names = product.analysis.layout.names
    fields = {
        "": product.analysis.mean().values[0],
        "_background": product.background.mean().values[0],
        "_error": product.error_std,
    }
    equal = [
        np.array_equal(stored[name + suffix].values, values[i].numpy(), equal_nan=True)
        for suffix, values in fields.items()
        for i, name in enumerate(names)
    ]
    return all(equal) and f'"seed": {product.provenance["seed"]}' in stored.attrs["provenance"]
