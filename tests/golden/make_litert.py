"""Fills in the golden outputs: runs every case of ``litert/*.npz`` in LiteRT's reference kernels.

    python -m venv /some/where && /some/where/bin/pip install ai-edge-litert==2.3.0
    python -m tests.golden.draw_cases --mnist FOLDER          # the integers; in the project's environment
    /some/where/bin/python -m tests.golden.make_litert        # the outputs; only NumPy and LiteRT are needed

Committed vectors were made with ai-edge-litert 2.3.0, ``OpResolverType.BUILTIN_REF``. The interpreter's default kernels
(XNNPACK) round otherwise and are not used.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.golden import case_file
from tests.golden.flatbuffer import write


def outputs(case: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Golden arrays of a case by name."""
    content, index = write(case, arrays)
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    given = arrays[f"{case['name']}/input"]
    interpreter.set_tensor(index["input"], np.ascontiguousarray(np.moveaxis(given, 1, -1)))
    interpreter.invoke()
    names = [layer["name"] for layer in case["layers"]]
    results = (np.moveaxis(interpreter.get_tensor(index[name]), -1, 1) for name in names)
    return {f"{case['name']}/{name}/output": result for name, result in zip(names, results, strict=True)}


def linear_outputs(case: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Golden arrays of a single fully connected layer: ``output`` as the convolution of one pixel that it equals, and
    ``fully_connected`` from the kernel of that name, which rounds once (see docs/numerics.md)."""
    name, (layer,) = case["name"], case["layers"]
    (own,) = outputs(case, arrays).values()
    shape = tuple(case["input"]["shape"])
    c, h, w = shape if len(shape) == 3 else (*shape, 1, 1)
    window = {"kernel": (h, w), "stride": (1, 1), "padding": (0, 0, 0, 0), "border": "valid", "dilation": (1, 1)}
    conv = {**layer, **window, "op": "conv2d", "groups": 1, "shape": (layer["shape"][0], 1, 1)}
    weight = np.moveaxis(arrays[f"{name}/layer/weight"].reshape(-1, h, w, c), -1, 1)
    given = arrays[f"{name}/input"].reshape(-1, c, h, w)
    moved = arrays | {f"{name}/layer/weight": weight, f"{name}/input": given}
    (result,) = outputs({**case, "layers": [conv]}, moved).values()
    return {f"{name}/layer/output": result.reshape(own.shape), f"{name}/layer/fully_connected": own}


def main() -> None:
    for name in ("layers", "lenet5"):
        cases, arrays = case_file.load(name)
        for case in cases:
            alone = len(case["layers"]) == 1 and case["layers"][0]["op"] == "linear"
            arrays |= (linear_outputs if alone else outputs)(case, arrays)
        case_file.save(name, cases, arrays)
        print(f"{name}: {len(cases)} cases, {(case_file.FOLDER / f'{name}.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
