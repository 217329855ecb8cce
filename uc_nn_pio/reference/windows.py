"""Which output positions of a sliding window see a valid pixel through a given tap, along one axis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """Outputs ``first..last`` (exclusive) read inputs ``start``, ``start + stride``, ... through one tap."""

    first: int
    last: int
    start: int
    stride: int

    @property
    def outputs(self) -> slice:
        return slice(self.first, self.last)

    @property
    def inputs(self) -> slice:
        count = self.last - self.first
        return slice(self.start, self.start + (count - 1) * self.stride + 1, self.stride) if count else slice(0, 0)


def reach(tap: int, size: int, outputs: int, stride: int, pad: int, dilation: int = 1) -> Reach:
    """The outputs whose tap number ``tap`` lies on an axis of ``size`` pixels, with ``pad`` pixels in front."""
    offset = tap * dilation - pad
    first = min(outputs, max(0, -(offset // stride)))
    last = max(first, min(outputs, (size - 1 - offset) // stride + 1))
    return Reach(first, last, offset + first * stride, stride)
