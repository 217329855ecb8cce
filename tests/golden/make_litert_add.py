"""Makes ``litert/add.npz``: what LiteRT's reference kernel ``ADD`` gives for all 65,536 pairs of int8 values.

    python -m venv /some/where && /some/where/bin/pip install ai-edge-litert==2.3.0
    /some/where/bin/python -m tests.golden.make_litert_add

``scales`` (n, 3) float32 and ``zero_points`` (n, 3), of the first term, the second and the sum; ``activations`` (n,),
0 none, 1 relu, 2 relu6; ``sums`` (n, 256, 256) int8, the first term along the rows, both from -128 to 127. Made as the
other vectors are: see ``make_litert.py``.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.golden.case_file import FOLDER
from tests.golden.flatbuffer import ACTIVATIONS, ModelWriter

NAMES = (None, "relu", "relu6")


def draw(count: int = 12, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scales like each other and far apart; sums that saturate, and sums of which little is left."""
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.uniform(np.log(1e-3), np.log(1.0), (count, 3)))
    scales[: count // 2, 1] = scales[: count // 2, 0] * rng.uniform(0.3, 3, count // 2)
    scales[: count // 2, 2] = scales[: count // 2, :2].sum(axis=1) * rng.uniform(0.3, 1.2, count // 2)
    scales[-1, 1:] = scales[-1, 0]
    points = rng.integers(-128, 128, (count, 3))
    points[::3, 2] = -128
    return scales.astype(np.float32), points, np.arange(count) % 3


def sums(scales: np.ndarray, points: np.ndarray, activation: str | None) -> np.ndarray:
    """int8 (256, 256) of one case."""
    writer = ModelWriter()
    shape = (1, 256, 256, 1)
    a, b, output = (writer.tensor(shape, s, int(z)) for s, z in zip(scales, points, strict=True))
    options = tfl.AddOptionsT()
    options.fusedActivationFunction = ACTIVATIONS[activation]
    writer.operator("ADD", [a, b], output, options)
    interpreter = Interpreter(
        model_content=writer.model([a, b], [output]), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    values = np.arange(-128, 128).astype(np.int8)
    rows = np.broadcast_to(values[:, None], (256, 256))
    for index, given in ((a, rows), (b, rows.T)):
        interpreter.set_tensor(index, np.ascontiguousarray(given).reshape(shape))
    interpreter.invoke()
    return interpreter.get_tensor(output).reshape(256, 256)


def main() -> None:
    scales, points, activations = draw()
    made = [sums(s, z, NAMES[a]) for s, z, a in zip(scales, points, activations, strict=True)]
    np.savez_compressed(
        FOLDER / "add.npz", scales=scales, zero_points=points, activations=activations, sums=np.stack(made)
    )


if __name__ == "__main__":
    main()
