"""How a tensor's elements lie in memory: a map (C, H, W) as H, W, C; every other shape in torch's order.

Arrays in Python are always in torch's order. These functions go between the two; whoever packs weights, fills an input
buffer or reads an output buffer uses them.
"""

from __future__ import annotations

import math

import numpy as np


def memory_order(shape: tuple[int, ...]) -> np.ndarray:
    """Index, in torch's order, of the element at each place in memory: ``memory[i] = array.ravel()[order[i]]``."""
    index = np.arange(math.prod(shape))
    return index.reshape(shape).transpose(1, 2, 0).ravel() if len(shape) == 3 else index


def same_memory(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether a reshape in torch's order from ``a`` to ``b`` leaves every byte where it is.

    True between vectors, for a map with one channel or one pixel, and between maps of the same channel count.
    """
    return math.prod(a) == math.prod(b) and bool(np.array_equal(memory_order(a), memory_order(b)))


def to_memory(array: np.ndarray, rank: int | None = None) -> np.ndarray:
    """The flat buffer of an array in torch's order. With ``rank`` given, axes in front of the last ``rank`` are batch
    axes and stay; the result has shape (batch..., elements)."""
    rank = array.ndim if rank is None else rank
    batch = array.shape[: array.ndim - rank]
    if rank == 3:
        array = np.moveaxis(array, -3, -1)
    return array.reshape(*batch, -1)


def from_memory(buffer: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array in torch's order that a flat buffer holds; leading axes of ``buffer`` are batch axes and stay."""
    batch = buffer.shape[:-1]
    if len(shape) == 3:
        c, h, w = shape
        return np.moveaxis(buffer.reshape(*batch, h, w, c), -1, -3)
    return buffer.reshape(*batch, *shape)


def memory_index(source: tuple[int, ...], target: tuple[int, ...], index: np.ndarray) -> np.ndarray:
    """The same choice of elements in terms of memory: for each place of a tensor of shape ``target``, the place of one
    of shape ``source`` from which it comes; ``index`` is that in torch's order, flat."""
    place = np.empty(math.prod(source), np.int64)
    place[memory_order(source)] = np.arange(len(place))
    return place[np.asarray(index)[memory_order(target)]]
