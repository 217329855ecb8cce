"""Pools in float32. A padded or cut-off window looks at valid pixels only; the output's shape says whether the size was
rounded up (``ceil_mode``)."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ops import AvgPool2d, MaxPool2d
from uc_nn_pio.reference.windows import reach


def max_pool(op: MaxPool2d, x: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(batch, C, H, W) -> (batch, *shape). C starts with the window's first valid pixel and takes what is greater."""
    _, rows, columns = shape
    y = np.full((*x.shape[:2], rows, columns), -np.inf, np.float32)
    for ky in range(op.kernel[0]):
        v = reach(ky, x.shape[2], rows, op.stride[0], op.padding.top, op.dilation[0])
        for kx in range(op.kernel[1]):
            h = reach(kx, x.shape[3], columns, op.stride[1], op.padding.left, op.dilation[1])
            best = y[..., v.outputs, h.outputs]
            np.maximum(best, x[..., v.inputs, h.inputs], out=best)
    return y


def avg_pool(op: AvgPool2d, x: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(batch, C, H, W) -> (batch, *shape): the sum of valid pixels from 0 in the order (ky, kx), then one division."""
    _, rows, columns = shape
    total = np.zeros((*x.shape[:2], rows, columns), np.float32)
    for ky in range(op.kernel[0]):
        v = reach(ky, x.shape[2], rows, op.stride[0], op.padding.top)
        for kx in range(op.kernel[1]):
            h = reach(kx, x.shape[3], columns, op.stride[1], op.padding.left)
            total[..., v.outputs, h.outputs] += x[..., v.inputs, h.inputs]
    return total / avg_divisors(op, x.shape[2:], (rows, columns)).astype(np.float32)


def avg_divisors(op: AvgPool2d, size: tuple[int, int], outputs: tuple[int, int]) -> np.ndarray:
    """What each window's sum is divided by, (rows, columns).

    ``divisor_override`` where given; else the window's taps on the map, with those on the padding as well if
    ``count_include_pad``. Taps beyond the padding, as ``ceil_mode`` makes them, never count (torch's ``avg_pool2d``).
    """
    if op.divisor_override is not None:
        return np.full(outputs, op.divisor_override)
    pads = ((op.padding.top, op.padding.bottom), (op.padding.left, op.padding.right))
    counts = []
    for axis, (before, after) in enumerate(pads):
        start = np.arange(outputs[axis]) * op.stride[axis] - before
        end = np.minimum(start + op.kernel[axis], size[axis] + after)
        if not op.count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size[axis])
        counts.append(end - start)
    return np.outer(*counts)


def adaptive_avg_pool(x: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(batch, C, H, W) -> (batch, *shape): the mean over rows floor(i*H/h) to ceil((i+1)*H/h), columns alike; sums and
    division as :func:`avg_pool`."""
    _, rows, columns = shape
    y = np.zeros((*x.shape[:2], rows, columns), np.float32)
    for i in range(rows):
        top, bottom = adaptive_window(i, x.shape[2], rows)
        for j in range(columns):
            left, right = adaptive_window(j, x.shape[3], columns)
            total = np.zeros(x.shape[:2], np.float32)
            for row in range(top, bottom):
                for column in range(left, right):
                    total += x[..., row, column]
            y[..., i, j] = total / np.float32((bottom - top) * (right - left))
    return y


def adaptive_window(i: int, size: int, outputs: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of window ``i`` where ``size`` pixels are cut into ``outputs`` windows."""
    return i * size // outputs, -(-(i + 1) * size // outputs)
