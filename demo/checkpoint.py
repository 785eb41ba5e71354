"""Reads the tensors of a PyTorch checkpoint with NumPy; nothing that the file names is called."""

import pickle  # Only what `_PERMITTED` lists is ever loaded.
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[np.float32]]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


@dataclass(frozen=True)
class _Storage:
    """A run of numbers, which the file holds after all tensors."""

    key: str
    dtype: np.dtype[np.float32] | np.dtype[np.int64]


@dataclass(frozen=True)
class _Tensor:
    """A tensor as the file describes it, which is how PyTorch's rebuilding is called."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: Mapping[str, object]

    def values(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """This tensor as a view of its storage's numbers.

        Raises:
          ValueError: it reaches beyond them.
        """
        size = numbers.itemsize
        strides = [stride * size for stride in self.strides]
        return np.ndarray(self.shape, np.float32, numbers, self.offset * size, strides)


_PERMITTED: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _PERMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the checkpoint names {module}.{name}") from None

    def persistent_load(self, pid: tuple[str, np.dtype[np.float32], str]) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def read_checkpoint(data: bytes) -> Tensors:
    """The float tensors of a state dict in the format of PyTorch before 1.6, by name.

    That format is five pickles (magic number, protocol, byte order, tensors, keys of the
    storages) and then, in the order of the keys, each storage's length and numbers.

    Raises:
      ValueError: the data is no such file.
      pickle.UnpicklingError: it names a class or function other than those of tensors.
    """
    file = BytesIO(data)
    magic, protocol, system, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not system["little_endian"]:
        raise ValueError("the data is no little-endian PyTorch checkpoint in the format before 1.6")
    dtypes = {t.storage.key: t.storage.dtype for t in tensors.values()}
    storages = {}
    for key in keys:
        (length,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(length * dtypes[key].itemsize), dtypes[key])
    return {
        name: tensor.values(storages[tensor.storage.key])
        for name, tensor in tensors.items()
        if tensor.storage.dtype == np.float32
    }
