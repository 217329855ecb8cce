"""A finished design becomes C: one header, one source.

Same design, same bytes: nothing here reads a clock, a path or a user's name. What a user may have written (labels,
layer names) is escaped where it is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import jinja2
import numpy as np

from uc_nn_pio import __version__
from uc_nn_pio.design import Design, graph_hash
from uc_nn_pio.emit.expressions import affine, c_constant, c_float, c_word, inside, times
from uc_nn_pio.emit.kernels import Kernel, Table, View
from uc_nn_pio.emit.kernels.base import shape_text
from uc_nn_pio.emit.stream import StreamedLayer
from uc_nn_pio.escape import c_comment, c_string
from uc_nn_pio.graph.cost import macs
from uc_nn_pio.graph.ir import DType, Tensor
from uc_nn_pio.preprocess import Line, int8_table, line_through, quotient, table
from uc_nn_pio.schedule import Placement
from uc_nn_pio.spec import Preprocess

_COLUMNS = 118
_ELEMENT = {DType.FLOAT32: "float", DType.INT8: "int8_t"}
"""C's name of an activation."""

MAX_LINES = 4
"""Channels of an image that ``set_row`` may treat each with a formula of its own; more share a table."""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("uc_nn_pio.emit", "templates"), jinja2.PackageLoader("uc_nn_pio.emit", "kernels")]
        ),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters.update(c_float=c_float, c_string=c_string, c_comment=c_comment, shape=shape_text)
    environment.filters.update(c_constant=c_constant, isfinite=math.isfinite)
    environment.filters["rows"] = _rows
    environment.filters["outdent"] = _outdent
    environment.filters["format_as"] = lambda value, form: form % value
    environment.globals.update(LOWEST=float(np.finfo(np.float32).min), affine=affine, times=times, inside=inside)
    return environment


@dataclass(frozen=True)
class LayerLine:
    """One row of the header's table, and one call in ``run``."""

    name: str
    title: str
    shapes: str
    ram_bytes: int
    weight_bytes: int
    macs: int
    call: str
    text: str
    number: int
    made: str
    """C expression for the output, of ``elements`` elements."""
    elements: int


def render(design: Design, *, traced: bool = False) -> dict[str, str]:
    """Return the C of a design: ``<name>.h`` and ``<name>.c``.

    ``traced``: the same kernels and plan, called by code that tells of each layer, for a program that looks for the
    first one that is wrong, or for the one that takes so long.
    """
    environment = _environment()
    name = design.spec.name
    layers = [_layer(environment, design, number, kernel) for number, kernel in enumerate(design.kernels)]
    stream = _stream(design)
    variables = {
        "name": name,
        "prefix": name,
        "upper": name.upper(),
        "version": __version__,
        "spec": design.spec,
        "design": design,
        "plan": design.plan,
        "graph_sha256": graph_hash(design.graph),
        "layers": layers,
        "helpers": frozenset().union(*(kernel.helpers for kernel in design.kernels)),
        "tables": [table for kernel in design.kernels for table in kernel.tables()],
        "input": design.graph.tensor(design.graph.inputs[0]),
        "output": design.graph.tensor(design.graph.outputs[0]),
        "element": _ELEMENT[design.graph.tensor(design.graph.inputs[0]).dtype],
        "input_at": _pointer(design, design.plan.placement(design.graph.inputs[0])),
        "output_at": _pointer(design, design.plan.placement(design.graph.outputs[0])),
        "total_macs": sum(layer.macs for layer in layers),
        "pixels": _pixels(design),
        "stream": stream,
        "traced": traced,
        "portable": False,
        "inputs": _ends(design, design.graph.inputs, input_names(design)),
        "outputs": _ends(design, design.graph.outputs, output_names(design)),
        "states": _states(design),
        "hides_tables": any(kernel.hides_table for kernel in design.kernels),
        "moves_words": all(layer.unit < layer.row for layer in stream) if design.precision == "int8" else False,
        "hundredths": _hundredths(design.graph.tensor(design.graph.outputs[0])),
    }
    return {
        f"{name}.h": environment.get_template("model.h.j2").render(variables),
        f"{name}.c": environment.get_template("model.c.j2").render(variables),
    }


def _layer(environment: jinja2.Environment, design: Design, number: int, kernel: Kernel) -> LayerLine:
    plan, node = design.plan, kernel.node
    taken, y = [plan.placement(name) for name in node.inputs], plan.placement(node.output)
    x = taken[0]
    arguments = [_pointer(design, place) for place in (*taken, y)]
    bytes_read = " and ".join(f"{place.offset}..{place.end - 1}" for place in taken)
    buffers = f"reads bytes {bytes_read}, writes {y.offset}..{y.end - 1}"
    if kernel.rows_apart:
        assert kernel.row_need is not None
        buffers = f"a window of {kernel.row_need.rows} rows in bytes {x.offset}..{x.end - 1}"
        buffers += "" if y.name in plan.windows else f", writes {y.offset}..{y.end - 1}"
    shared = next((source for output, source in plan.shared if output == node.output), None)
    ram = sum(place.size for place in dict.fromkeys(taken))
    if shared:
        ram = max(y.end, plan.placement(shared).end) - y.offset + ram - plan.placement(shared).size
    elif y.name not in plan.windows:
        ram += y.size
    if kernel.scratch_bytes:
        scratch = plan.placement(f"{node.name}.scratch")
        arguments.append(_pointer(design, scratch))
        buffers += f", scratch {scratch.offset}..{scratch.end - 1}"
        ram += scratch.size
    if shared:
        buffers += ", in place" if len(taken) == 1 else f", over {shared}"
    if kernel.state_bytes:
        state = plan.placement(kernel.state)
        arguments.append(_pointer(design, state))
        buffers += f", state {state.offset}..{state.end - 1}"
        ram += state.size
    shapes = f"{' and '.join(shape_text(t.shape) for t in kernel.inputs)} -> {shape_text(kernel.output.shape)}"
    source = c_comment(node.source.layer)
    line = partial(
        LayerLine,
        name=kernel.name,
        title=node.op.title,
        shapes=shapes,
        ram_bytes=ram,
        weight_bytes=sum(table.bytes for table in kernel.tables()),
        macs=macs(design.graph, node),
        number=number,
        made=_pointer(design, y),
        elements=kernel.output.elements,
    )
    each = ""
    if kernel.rows_apart:
        calls = kernel.row_need.calls
        each = ", one output row a call" if calls == 1 else f", made in {calls} calls"
    comment = f"/* {kernel.name}: {node.op.title}, {shapes}{each}; layer {source}.\n * Context: {buffers}. */"
    call = f"{kernel.function}({', '.join(arguments)});" if not kernel.rows_apart else ""
    if not design.is_called(kernel):
        return line(call=f"/* {kernel.name}: {node.op.title}, the same bytes under another shape */", text="")
    return line(call=call, text=_function(environment, kernel, comment))


def _function(environment: jinja2.Environment, kernel: Kernel, comment: str) -> str:
    template = environment.get_template(kernel.template)
    x, y = View("x", kernel.input), View("y", kernel.output)
    return _tidy(template.render(k=kernel, prefix=kernel.prefix, x=x, y=y, comment=comment, **kernel.variables()))


def kernel_source(kernel: Kernel) -> str:
    """The C of one kernel and of the helpers that it calls, without its tables and what is for one processor alone."""
    environment = _environment()
    names = {"prefix": kernel.prefix, "helpers": kernel.helpers, "portable": True}
    helpers = [environment.get_template(f"math_{kind}.c.j2").render(names) for kind in ("f32", "int8")]
    return "".join(helpers) + _function(environment, kernel, "")


def _stream(design: Design) -> list[StreamedLayer]:
    """The layers that work row by row, in order; empty for a schedule that has none."""
    plan, layers = design.plan, []
    count = len(plan.windows)
    words = design.precision == "int8" and all(_row_elements(k.input) % 4 == 0 for k in design.kernels[:count])
    for index, kernel in enumerate(design.kernels[:count]):
        window, row = plan.placement(kernel.node.inputs[0]), _row_elements(kernel.input)
        assert kernel.row_need is not None
        layers.append(
            StreamedLayer(
                index=index,
                name=kernel.name,
                function=kernel.function,
                need=kernel.row_need,
                given=layers[-1].need.calls if layers else 1,
                window=_pointer(design, window),
                units=_pointer(design, replace(window, scratch=words)),
                row=row,
                unit=row // 4 if words else row,
                collects=_pointer(design, plan.placement(kernel.node.output)) if index == count - 1 else None,
                made_row=_row_elements(kernel.output) if kernel.output.is_map else 0,
                elements=kernel.output.elements,
                scratch=_scratch(design, kernel),
                takes_row=bool(kernel.row_parameter),
            )
        )
    return layers


def _scratch(design: Design, kernel: Kernel) -> str | None:
    """C for the words that a streamed kernel works with besides its window and its output, or in the output's place."""
    if kernel.held_bytes:
        return _pointer(design, replace(design.plan.placement(kernel.node.output), scratch=True))
    return _pointer(design, design.plan.placement(f"{kernel.node.name}.scratch")) if kernel.scratch_bytes else None


def _row_elements(tensor: Tensor) -> int:
    channels, _, width = tensor.shape
    return channels * width


def _hundredths(output: Tensor) -> dict[str, int] | None:
    """``factor / 2^shift`` for the scale times 100, with as many bits as 255 steps leave in int32."""
    if output.quant is None:
        return None
    scale = min(100 * float(output.quant.scale), 2.0**22)
    shift = max(s for s in range(23) if s == 0 or 256 * scale * 2**s < 2**30)
    return {"factor": round(scale * 2**shift), "shift": shift, "half": (1 << shift) // 2}


def _outdent(text: str, columns: int) -> str:
    """The text with so many spaces less in front of its lines."""
    return re.sub(rf"(?m)^ {{1,{columns}}}", "", text) if columns else text


def _tidy(text: str) -> str:
    """No two blank lines in a row, none at the ends of a block, no spaces at a line's end."""
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text.strip("\n"))
    text = re.sub(r"\{\n\n", "{\n", text)
    return re.sub(r"\n\n( *\})", r"\n\1", text) + "\n"


def input_names(design: Design) -> list[str]:
    """C names of several inputs; of one, which needs none, no name."""
    return [each.name for each in design.spec.inputs] if len(design.graph.inputs) > 1 else []


def output_names(design: Design) -> list[str]:
    """C names of several outputs: the spec's, or their numbers."""
    count = len(design.graph.outputs)
    return list(design.spec.output.names or map(str, range(count))) if count > 1 else []


def _ends(design: Design, tensors: Sequence[str], names: Sequence[str]) -> list[dict[str, object]]:
    """Several inputs or outputs: what the header says of each; nothing of a single one."""
    found = zip(names, tensors, strict=True) if names else ()
    return [
        {
            "name": name,
            "upper": name.upper(),
            "tensor": design.graph.tensor(tensor),
            "at": _pointer(design, design.plan.placement(tensor)),
        }
        for name, tensor in found
    ]


def _states(design: Design) -> list[dict[str, object]]:
    """What ``reset_state`` sets: of each layer that carries one, where its output and the rest of its state lie."""
    found = []
    for kernel in design.kernels:
        if kernel.state_bytes:
            at, zero = _pointer(design, design.plan.placement(kernel.state)), kernel.output.quant
            size = kernel.state_bytes // (4 if design.precision == "float32" else 1)
            found.append(
                {"at": at, "units": kernel.output.shape[1], "size": size, "zero": zero.zero_point if zero else 0}
            )
    return found


def _pointer(design: Design, place: Placement) -> str:
    """C expression for a buffer or scratch: a member of the context, by what lies there."""
    if design.precision == "float32":
        member, at = "memory", place.offset // 4
    elif place.scratch:
        member, at = "memory.words", place.offset // 4
    else:
        member, at = "memory.bytes", place.offset
    return f"ctx->{member} + {at}" if at else f"ctx->{member}"


def _pixels(design: Design) -> dict[str, object] | None:
    """How ``set_row`` turns raw bytes into input, or None where the spec says nothing of pixels."""
    how, entry = design.spec.input.preprocess, design.graph.tensor(design.graph.inputs[0])
    if not entry.is_map or (design.spec.input.source is None and how == Preprocess()):
        return None
    channels = entry.shape[0] if how.mean is not None or how.std is not None else 1
    exact: object = None
    lines: list[Line] | None = None
    if entry.quant:
        network = [int8_table(how, channel, entry.quant, "network") for channel in range(channels)]
        found = [line_through(values) for values in network]
        lines = found if all(found) and channels <= MAX_LINES else None
        tables = [] if lines else [int8_table(how, channel, entry.quant) for channel in range(channels)]
    else:
        exact = quotient(how)
        tables = [] if exact else [table(how, channel) for channel in range(channels)]
    ctype = _ELEMENT[entry.dtype]
    return {
        "how": how,
        "quotient": exact,
        "lines": lines,
        "table": Table("pixels", ctype, np.concatenate(tables), "the input for each raw byte") if tables else None,
        "per_channel": channels > 1,
    }


def _rows(item: Table) -> Iterator[str]:
    """The table's values as lines of C, filled to the column limit."""
    write = {"float": c_float, "uint32_t": c_word, "int8_t": str}[item.ctype]
    line = "   "
    for value in item.values:
        text = f" {write(value)},"
        if len(line) + len(text) > _COLUMNS:
            yield line
            line = "   "
        line += text
    yield line
