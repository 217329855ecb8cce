"""int8 fully connected layer: four outputs at a time, their weights interleaved in words, one word an input.

Every word of the table is read once, in address order, and one ahead of its use: while flash fetches a word, the one
before it is multiplied. Two outputs share a MUL where the board's tuning says so (see ``conv2d_int8.py``). One or two
outputs that are left over have words of two inputs each; a third makes that two and one. With dual products a word
holds four inputs' weights of one output, and the words of a few outputs follow each other.

Behind a map, rows may come one by one: each adds its share to the sums of all outputs, which wait in the output's place
in the context, two words a pair, until the last row makes outputs of them. The table is in the order of the rows then,
and each word is still read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table, added_row_by_row
from uc_nn_pio.emit.kernels.packing import (
    folded_biases,
    requantizers,
    tap_groups,
    words_of_inputs,
    words_of_outputs,
    words_of_taps,
)
from uc_nn_pio.graph.ops import Linear, Op
from uc_nn_pio.schedule.rows import RowNeed


@dataclass(frozen=True)
class Part:
    """Outputs ``first`` .. that are computed together, ``lanes`` at a time, ``count`` times; an input's words hold
    ``inputs`` inputs. A lane that has no output has zero weights and is not stored."""

    first: int
    outputs: int
    lanes: int
    count: int
    inputs: int

    def members(self, turn: int) -> list[int]:
        first = self.first + turn * self.lanes
        return list(range(first, min(first + self.lanes, self.first + self.outputs)))


@dataclass(frozen=True)
class LinearInt8(Kernel):
    op_type: ClassVar[type[Op]] = Linear
    template: ClassVar[str] = "linear_int8.c.j2"

    @property
    def row_need(self) -> RowNeed | None:
        return added_row_by_row(self.input)

    @property
    def passes(self) -> int:
        return 1

    @property
    def held_bytes(self) -> int:
        return 4 * self.sum_words if self.rows_apart else 0

    @property
    def sum_words(self) -> int:
        """Words of sums, or of biases in the table."""
        return sum(part.lanes * part.count for part in self.parts)

    @property
    def rows(self) -> int:
        """Rows in which the inputs come."""
        return self.input.shape[1] if self.rows_apart else 1

    @property
    def row_inputs(self) -> int:
        return self.input.elements // self.rows

    @property
    def row_words(self) -> int:
        """Words of weights a row of inputs."""
        total = 0
        for part in self.parts:
            for inputs, times, _ in self._passes_of(part):
                quads = self.quads(inputs)
                words = quads * self.stored_lanes(part) + -(-(inputs - 4 * quads) // part.inputs)
                total += part.count * times * words
        return total

    @staticmethod
    def stored_lanes(part: Part) -> int:
        """Outputs whose weights a part's dual words hold: a last output alone has no second one beside it."""
        return min(part.lanes, part.outputs)

    @property
    def helpers(self) -> frozenset[str]:
        return self._requantizers.helpers | ({"dual"} if self.dual and self.row_inputs >= 4 else set())

    @property
    def dual(self) -> bool:
        return self.tuning.dual

    @property
    def packed(self) -> bool:
        return self.tuning.packed

    @cached_property
    def _requantizers(self) -> Any:
        return requantizers(self.graph, self.node)

    @property
    def per_output(self) -> bool:
        return len(self._requantizers.multiplier) > 1

    @cached_property
    def parts(self) -> list[Part]:
        size = self.output.elements
        four = size // 4 * 4
        parts = [Part(0, four, 4, four // 4, 1)] if four else []
        if size > four:
            parts.append(Part(four, size - four, 2, -(-(size - four) // 2), 2))
        return parts

    @property
    def known_channels(self) -> int:
        return sum(part.lanes for part in self.parts if part.count == 1)

    def tables(self) -> tuple[Table, ...]:
        words: list[int] = []
        for row in range(self.rows):
            for part in self.parts:
                for turn in range(part.count):
                    words += self._words(part, part.members(turn), row)
        words += [0, 0]  # read ahead of the end
        comment = (
            f"{'for each row of inputs, ' if self.rows_apart else ''}for four outputs at a time: biases, then a word "
            "of four weights an input; for the last one to three: for two outputs, a word of two inputs"
        )
        return (Table(f"{self.name}_weights", "uint32_t", np.array(words, np.uint32), comment),)

    def _words(self, part: Part, members: list[int], row: int) -> list[int]:
        """The first row's begin with the biases; what requantizes is behind these, or behind the last row's weights."""
        weight = np.zeros((part.lanes, self.row_inputs), np.int64)
        taken = slice(row * self.row_inputs, (row + 1) * self.row_inputs)
        weight[: len(members)] = self.graph.constant(self.node, "weight")[members, taken]
        first = self._biases(part, members) if row == 0 else []
        last = self._requantize_words(part, members) if row == self.rows - 1 else []
        words = []
        start = 0
        for count, times, _ in self._passes_of(part):
            for _ in range(times):
                words += self._pass_words(part, weight[:, start : start + count])
                start += count
        return first + words + last if self.rows_apart else first + last + words

    def quads(self, inputs: int) -> int:
        """Dual: of a pass, how many times four inputs are taken together."""
        return inputs // 4 if self.dual else 0

    def _pass_words(self, part: Part, weight: np.ndarray) -> list[int]:
        """A pass's weights (lanes, inputs)."""
        fours = 4 * self.quads(weight.shape[1])
        words = words_of_inputs(weight[: self.stored_lanes(part), :fours]) if fours else []
        rest = weight[:, fours:]
        if part.lanes == 4:
            return words + words_of_outputs(rest[[0, 2, 1, 3]], self.packed)
        return words + words_of_taps(rest[0], rest[1], self.packed)

    def _biases(self, part: Part, members: list[int]) -> list[int]:
        biases = folded_biases(self.graph, self.node, self.input.quant.zero_point)
        taken = [int(biases[o]) for o in members] + [0] * (part.lanes - len(members))
        words: list[int] = []
        for a, b in zip(taken[::2], taken[1::2], strict=True):
            words += [(a + (b << 16 if self.packed else 0)) & 0xFFFFFFFF, b & 0xFFFFFFFF]
        return words

    def _requantize_words(self, part: Part, members: list[int]) -> list[int]:
        words: list[int] = []
        for i in range(0, part.lanes if self.per_output else 0, 2):
            first = members[i] if i < len(members) else members[0]
            words += self._requantizers.of(first, members[i + 1] if i + 1 < len(members) else None)
        return words

    def groups(self, part: Part, inputs: int, start: int, end: int) -> list[list[int]]:
        """Inputs of a pass of ``inputs``, used for ``start`` .. ``end`` of each row, in groups that may be added in one
        word."""
        if not self.packed:
            return [[i] for i in range(inputs)]
        outputs = self.graph.constant(self.node, "weight")[part.first : part.first + part.outputs]
        rows = outputs.reshape(part.outputs, self.rows, self.row_inputs)[:, :, start:end]
        return tap_groups(rows.reshape(-1, inputs), range(inputs))

    def variables(self) -> Mapping[str, Any]:
        r = self._requantizers
        return {
            "requantizer": r,
            "clamp": [int(v) for v in self.graph.constant(self.node, "clamp")],
            "zero_out": self.output.quant.zero_point,
            "passes": {part: self._passes_of(part) for part in self.parts},
        }

    def _passes_of(self, part: Part) -> list[tuple[int, int, list[list[int]]]]:
        """(inputs of a pass, how many passes, groups): the loop's, then what is left over."""
        size, step = self.row_inputs, min(self.tuning.linear_inputs, self.row_inputs)
        step += step % part.inputs if step < size else 0
        step -= step % 4 if self.dual and step > 4 else 0
        count, rest = divmod(size, step)
        found = [(step, count, self.groups(part, step, 0, count * step))]
        if rest:
            found.append((rest, 1, self.groups(part, rest, count * step, size)))
        return found
