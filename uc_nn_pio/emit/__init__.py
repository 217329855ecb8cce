"""Graph, plan and placement become C. Templates lie in ``templates/`` (the model) and ``kernels/`` (the operators)."""

from __future__ import annotations

_FLOAT32 = ("-O1", "-fno-inline", "-ffp-contract=off")
_INT8 = ("-O2", "-fno-inline-functions-called-once")
_IN_ORDER = ("-fno-schedule-insns", "-fno-schedule-insns2", "-fno-tree-ter", "-fno-tree-reassoc", "-fno-tree-pre")


def compile_flags(precision: str, packed: bool, dual: bool = False) -> tuple[str, ...]:
    """How a build compiles a model's C, behind its own flags; GCC's words. ``packed`` and ``dual``: see
    :class:`~uc_nn_pio.emit.kernels.tuning.Tuning`.

    Measured for RV32IMAC with GCC 12.2 on LeNet-5:

    - float32: -O2 spills registers around the soft-float calls (3 % more instructions, 252 instead of 188 bytes of
      stack). Without inlining each layer stays a function of its own, which profiles can name.
    - int8: layers stay functions, helpers are inlined. Packed products come in the order that the multiplier wants
      (``kernels/pipeline.py``), and GCC is told to keep it: its own order costs 40 % more cycles in convolutions.
      GCC 8.3 also moves loads from flash up to each other; without -fno-tree-pre that costs it 57 % (12.2 loses 0.8 %
      by it).

    For Cortex-M4, GCC 12.2: dual products leave few registers, and scheduling before these are given out spills more of
    them (2 % more instructions).
    """
    if precision == "float32":
        return _FLOAT32
    return _INT8 + (_IN_ORDER if packed else _IN_ORDER[:1] if dual else ())
