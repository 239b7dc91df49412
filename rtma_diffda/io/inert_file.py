"""``read_inert``: what a file of ``torch.save`` holds, without importing or calling anything that the file names.

Such a file is a zip archive of storages and one pickle that puts tensors together from them. Here tensors and mappings
are rebuilt; an object of any other class becomes an ``Inert`` that only remembers its attributes. Nothing else in
the file has an effect, so files from strangers can be read, where ``torch.load(weights_only=True)`` refuses those that
hold more than tensors (Lightning's hyper-parameters, for one).
"""

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtma_diffda.errors import InputError

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, OSError, EOFError, RuntimeError, MemoryError, OverflowError),
    *(AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError),
)


class Inert:
    """Stands for an object whose class was not imported; ``attributes`` are what the file says of it."""

    def __new__(cls, *arguments: Any, **options: Any) -> "Inert":
        made = super().__new__(cls)
        made.attributes = {}
        return made

    def __init__(self, *arguments: Any, **options: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.attributes = dict(state) if isinstance(state, Mapping) else {}

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None:
        """Forget an element of a list of an unknown class."""

    extend = append


def read_inert(path: Path) -> Any:
    """What the file holds: mappings, lists, numbers, text, tensors on the CPU, and ``Inert`` for everything else.

    Raises:
        InputError: there is no such file, it is damaged, or it was not written by ``torch.save`` of torch ≥ 1.6.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no zip archive, as files of torch ≥ 1.6 are; save it anew with such a torch")
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(archive).load()
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged, or holds tensors of an unknown kind: {error!r}") from error


class _Reader:
    """Reads one archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise ValueError(f"{len(found)} entries are called data.pkl, expected 1")
        self._archive, self._folder = archive, found[0].removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}
        order = f"{self._folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("numbers are stored in another byte order")

    def load(self) -> Any:
        reader = self

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Callable[..., Any]:
                return reader.stand_in(module, name)

            def persistent_load(self, identity: tuple[Any, ...]) -> Tensor:
                return reader.storage(*identity)

        with self._archive.open(f"{self._folder}data.pkl") as stream:
            return Unpickler(stream).load()

    def stand_in(self, module: str, name: str) -> Any:
        """What takes the place of a name; made anew each time, so that the file cannot change it for later ones."""
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *rest: storage.as_strided(size, stride, offset)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda values, *rest: values
        if (module, name) == ("collections", "OrderedDict"):
            return type("Mapping", (dict,), {"__setstate__": lambda mapping, state: None})
        return type(name, (Inert,), {})

    def storage(self, kind: str, dtype: torch.dtype, key: str, location: str, count: int) -> Tensor:
        """The numbers of one storage, wherever they lay when they were saved."""
        del kind, location, count
        if key not in self._storages:
            entry = self._archive.getinfo(f"{self._folder}data/{key}")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"storage {key} is compressed")
            numbers = bytearray(self._archive.read(entry))
            self._storages[key] = torch.frombuffer(numbers, dtype=dtype) if numbers else torch.empty(0, dtype=dtype)
        return self._storages[key]
