"""The import rows and the confinement of libraries (style guide, section 4), read from the source by ``ast``."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rtma_diffda"
ROWS = {
    0: ("errors", "resources", "variables", "times"),
    1: ("observations", "io", "fields", "geo"),
    2: ("interfaces",),
    3: ("backbones", "diffusion", "dynamics", "verification"),
    4: ("assimilation", "forecast"),
    5: ("cycling", "training"),
    6: ("experiments",),
    7: ("cli",),
}
ROW_OF = {part: row for row, parts in ROWS.items() for part in parts}
CONFINED = {
    "hydra": ("cli",),
    "omegaconf": ("cli",),
    "pyproj": ("geo", "__init__"),
    "xesmf": ("geo",),
    "metpy": ("observations.ingest",),
    "pint": ("observations.ingest",),
    "airportsdata": ("observations.ingest",),
    "eccodes": ("io",),
    "cfgrib": ("io",),
    "zarr": ("io",),
    "matplotlib": ("verification.reports",),
    "safetensors": ("io",),
    "torch.distributed": ("training.distributed",),
    "xarray": ("fields.convert", "io", "observations.ingest", "geo.regrid", "verification"),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports inside the package are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def may_import(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if ROW_OF[importer] == 1 == ROW_OF[imported]:
        order = ROWS[1]
        return order.index(imported) > order.index(importer)
    if ROW_OF[importer] == 5:  # contracts only, never a concrete method
        return ROW_OF[imported] <= 2
    return ROW_OF[imported] < ROW_OF[importer] or ROW_OF[importer] == ROW_OF[imported] == 0


def within(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_to_lower_rows(path):
    importer = module_of(path).split(".")[0]
    if importer in ("__init__", "__main__"):
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "rtma_diffda" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert parts[1] in ROW_OF, f"{path.name} imports {name}, which stands in no row"
        assert may_import(importer, parts[1]), f"{module_of(path)} may not import {name}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_libraries_are_confined(path):
    module = module_of(path)
    for name in imports_of(path):
        for library, places in CONFINED.items():
            if within(name, library):
                assert any(within(module, place) for place in places), f"{module} may not import {library}"


def test_every_part_of_the_package_stands_in_a_row():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert parts - {"__init__", "__main__"} <= set(ROW_OF)


def test_the_checker_notices_a_wrong_arrow():
    assert not may_import("geo", "fields")
    assert not may_import("assimilation", "forecast")
    assert not may_import("verification", "assimilation")
    assert not may_import("cycling", "assimilation")
    assert may_import("cycling", "interfaces")
    assert may_import("io", "geo") and may_import("experiments", "assimilation")
