"""The paper's steps, one by one (sections 3, 3.1 and 3.2): what the activations of a network take with each.

Counted as the paper counts: the input, and the output of every layer that stores one; an activation function works on
its layer's buffer, flatten and dropout store nothing. Scratch and stack are not activations and are not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uc_nn_pio.design import Design
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.graph.ops import Activation, Identity, Reshape


def unfused_bytes(captured: Graph, element: DType = DType.FLOAT32) -> int:
    """Bytes if each layer had a buffer of its own, before any fusion, with elements of that type."""
    free = {node.output for node in captured.nodes if isinstance(node.op, Activation | Reshape | Identity)}
    return sum(tensor.elements * element.bytes for tensor in captured.values() if tensor.name not in free)


def fused_bytes(lowered: Graph) -> int:
    """Bytes if each fused layer had a buffer of its own."""
    return sum(tensor.bytes for tensor in lowered.values())


def ablation(design: Design) -> Mapping[str, Any]:
    """Bytes of activations with no step, with fused max-pooling, and with the plan's buffers, and what each saves."""
    start, fused = unfused_bytes(design.captured, DType(design.precision)), fused_bytes(design.graph)
    planned = design.plan.activation_bytes

    def saved(before: int, after: int) -> float:
        return round(100 * (1 - after / before), 1)

    return {
        "unfused_bytes": start,
        "fused_bytes": fused,
        "planned_bytes": planned,
        "schedule": design.plan.schedule,
        "fused_saves_percent": saved(start, fused),
        "schedule_saves_percent": saved(fused, planned),
        "total_saves_percent": saved(start, planned),
    }


def ablation_text(design: Design) -> str:
    """The same as a small table."""
    a = ablation(design)
    rows = [
        ("a buffer a layer", a["unfused_bytes"], ""),
        ("+ fused activation and max-pool", a["fused_bytes"], f"saves {a['fused_saves_percent']:.0f} %"),
        (f"+ {a['schedule']} buffers", a["planned_bytes"], f"saves {a['schedule_saves_percent']:.0f} %"),
        ("both together", a["planned_bytes"], f"saves {a['total_saves_percent']:.0f} %"),
    ]
    lines = [f"{design.spec.name}: bytes of activations, {design.precision}"]
    return "\n".join(lines + [f"  {what:34}{size:10,} B   {note}".rstrip() for what, size, note in rows])
