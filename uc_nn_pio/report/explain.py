"""All that is known of one layer in one place: the user's line, the graph's node, the C, its bytes, time and error."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from uc_nn_pio.design import Design
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.escape import terminal
from uc_nn_pio.report.summary import report


def explain_data(design: Design, wanted: str) -> Mapping[str, Any]:
    """The layer that ``wanted`` names: as the report does, as the user's Python does, or by its C function.

    Raises:
        UcNnError: there is none.
    """
    found = [
        (index, kernel)
        for index, kernel in enumerate(design.kernels)
        if wanted in (kernel.node.name, kernel.name, kernel.function, kernel.node.source.layer)
    ]
    if not found:
        names = [kernel.node.name for kernel in design.kernels]
        near = difflib.get_close_matches(wanted, names, n=1)
        raise UcNnError(
            f"the network has no layer {wanted!r}",
            where=design.spec.name,
            why=f"behind fusion there are {', '.join(names)}",
            next_step=f"did you mean {near[0]}?" if near else None,
        )
    index, kernel = found[0]
    data = report(design)
    node, plan = kernel.node, design.plan
    buffers = {name: plan.placement(name) for name in (*node.inputs, node.output)}
    if kernel.scratch_bytes:
        buffers["scratch"] = plan.placement(f"{node.name}.scratch")
    if kernel.state_bytes:
        buffers["state"] = plan.placement(kernel.state)
    noise = {each.layer: each.db for each in design.noise}
    return {
        **data["layers"][index],
        "function": f"{kernel.function}()" if design.is_called(kernel) else None,
        "kernel": type(kernel).__name__,
        "constants": {role: list(design.graph.constants[name].shape) for role, name in node.constants.items()},
        "tables": [table for table in data["tables"] if table["layer"] == node.name],
        "buffers": {name: {"offset": place.offset, "bytes": place.size} for name, place in buffers.items()},
        "row_by_row": kernel.rows_apart,
        "quant": {
            tensor.name: {"scale": float(tensor.quant.scale), "zero_point": tensor.quant.zero_point}
            for tensor in (*kernel.inputs, kernel.output)
            if tensor.quant
        },
        "signal_to_noise_db": noise.get(node.name),
    }


def explain_text(data: Mapping[str, Any]) -> str:
    """The same for a terminal."""
    shapes = " and ".join("x".join(map(str, shape)) for shape in data["inputs"])
    lines = [
        f"{terminal(data['name'])}: {data['operators']}",
        f"  in your Python    {terminal(data['source'])}",
        f"  in the C          {data['function'] or 'nothing to do: the same bytes under another shape'}"
        + (f", kernel {data['kernel']}" if data["function"] else "")
        + (", a row at a time" if data["row_by_row"] else ""),
        f"  shapes            {shapes} -> {'x'.join(map(str, data['output']))}, {data['macs']:,} multiply-accumulates",
    ]
    for name, place in data["buffers"].items():
        lines.append(
            f"  {'buffer':17} {terminal(name)}: {place['bytes']:,} B, bytes {place['offset']}.."
            f"{place['offset'] + place['bytes'] - 1} of the context"
        )
    for table in data["tables"]:
        lines.append(
            f"  {'constants':17} {terminal(table['name'])}: {table['bytes']:,} B in {table['region']}, each word read "
            f"{table['reads_per_word']:g} times an inference"
        )
    for name, quant in data["quant"].items():
        lines.append(f"  {'int8':17} {terminal(name)}: {quant['scale']:.6g} * (q - {quant['zero_point']})")
    if data["signal_to_noise_db"] is not None:
        lines.append(
            f"  {'quantization':17} {data['signal_to_noise_db']:.1f} dB signal to noise, all layers in front included"
        )
    speed = data["predicted"]
    if speed:
        lines.append(
            f"  {'time, predicted':17} {speed['cycles']:,} cycles, {100 * speed['share']:.1f} % of an inference; "
            f"{speed['instructions']:,} instructions"
        )
    return "\n".join(lines)
