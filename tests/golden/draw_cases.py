"""Draws the integers of the golden cases: single layers at random, and LeNet-5 as the example's weights quantize.

    python -m tests.golden.draw_cases --mnist FOLDER     # the four idx files

LeNet-5 is calibrated on the first 200 training digits by min/max; its inputs are the first 8 test digits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from tests.golden import case_file

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "lenet5_camera"
BATCH = 2
Arrays = dict[str, np.ndarray]


class Drawer:
    """Draws single-layer cases. ``spread`` is the layer's output range against that of its accumulators: under 1 it
    saturates, far over 1 little is left of it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.cases: list[dict] = []
        self.arrays: Arrays = {}

    def scale(self, low: float = 1e-3, high: float = 1.0) -> float:
        return float(np.float32(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def zero_point(self, activation: str | None = None) -> int:
        """A rectified output lies above its zero point: a high one would leave nothing."""
        any_ = self.rng.integers(-128, 128)
        return int(self.rng.choice([-128, -128, -100, -9] if activation else [-128, 127, 0, any_]))

    def int8(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-128, 128, shape).astype(np.int8)

    def case(self, kind: str, shape: tuple[int, ...], layer: dict, own: Arrays, scale: float, zero_point: int) -> None:
        name = f"{len(self.cases):03}_{kind}"
        given = {"shape": shape, "scale": scale, "zero_point": zero_point}
        self.cases.append({"name": name, "input": given, "layers": [{"name": "layer", **layer}]})
        self.arrays[f"{name}/input"] = self.int8(BATCH, *shape)
        self.arrays |= {f"{name}/layer/{role}": array for role, array in own.items()}

    def weights(self, weight_shape: tuple[int, ...], per_channel: bool, scale: float, spread: float) -> tuple:
        """Weights, and the output scale that gives ``spread``. Among them is -128, which imported networks may hold."""
        count = weight_shape[0]
        weight = self.int8(*weight_shape)
        scales = np.array([self.scale(1e-4, 1e-2) for _ in range(count if per_channel else 1)], np.float32)
        deviation = 74 * 74 * np.sqrt(np.prod(weight_shape[1:]))
        bias = np.rint(self.rng.normal(size=count) * deviation).astype(np.int32)
        output = float(np.float32(scale * np.median(scales) * deviation * spread / 50))
        return {"weight": weight, "weight_scale": scales, "bias": bias}, output

    def conv(
        self, shape: tuple[int, int, int], out: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1),
        border: str = "valid", groups: int = 1, dilation: tuple[int, int] = (1, 1), activation: str | None = None,
        spread: float = 1.0, per_channel: bool = True, padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:  # fmt: skip
        padding, size = windows(shape, kernel, stride, border, dilation, padding)
        scale = self.scale()
        own, output = self.weights((out, shape[0] // groups, *kernel), per_channel, scale, spread)
        layer = {"op": "conv2d", "kernel": kernel, "stride": stride, "padding": padding, "border": border,
                 "dilation": dilation, "groups": groups, "activation": activation, "shape": (out, *size),
                 "scale": output, "zero_point": self.zero_point(activation)}  # fmt: skip
        self.case("conv" if groups == 1 else "depthwise" if groups == shape[0] else "groups", shape, layer, own, scale,
                  self.zero_point())  # fmt: skip

    def linear(
        self, shape: tuple[int, ...], out: int, per_channel: bool, activation: str | None = None, spread: float = 1.0
    ) -> None:
        scale = self.scale()
        own, output = self.weights((out, int(np.prod(shape))), per_channel, scale, spread)
        layer = {"op": "linear", "activation": activation, "shape": (out,), "scale": output,
                 "zero_point": self.zero_point(activation)}  # fmt: skip
        self.case("linear", shape, layer, own, scale, self.zero_point())

    def boundaries(self, op: str, per_channel: bool) -> None:
        """A layer whose accumulators are its biases, each at a point where the output changes by 1: there the last bits
        of the multiplier decide. The scales are those of many whose product loses most in float32."""
        pairs = [(self.scale(), self.scale(1e-4, 1e-2)) for _ in range(200)]
        scale, own = max(pairs, key=lambda pair: abs(float(np.float32(pair[0] * pair[1])) / (pair[0] * pair[1]) - 1))
        output = float(np.float32(scale * own * 2**30 / 127))
        factors = (scale * own / output, float(np.float32(scale * own)) / output)
        steps = np.arange(-127, 126) + 0.5
        bias = np.concatenate([np.ceil(steps / factor) - less for factor in factors for less in (0, 1)]).astype(
            np.int32
        )
        constants = {"weight": np.zeros((len(bias), 1, 1, 1)[: 2 if op == "linear" else 4], np.int8), "bias": bias,
                     "weight_scale": np.full(len(bias) if per_channel else 1, own, np.float32)}  # fmt: skip
        layer = {"op": op, "activation": None, "shape": (len(bias),), "scale": output, "zero_point": 0}
        if op == "conv2d":
            layer |= {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0, 0, 0), "border": "valid", "groups": 1,
                      "dilation": (1, 1), "shape": (len(bias), 1, 1)}  # fmt: skip
        shape = (1,) if op == "linear" else (1, 1, 1)
        self.case("linear" if op == "linear" else "conv", shape, layer, constants, scale, self.zero_point())

    def pool(
        self, op: str, shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int],
        border: str = "valid", padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:  # fmt: skip
        padding, size = windows(shape, kernel, stride, border, (1, 1), padding)
        scale, zero_point = self.scale(), self.zero_point()
        layer = {"op": op, "kernel": kernel, "stride": stride, "padding": padding, "border": border,
                 "shape": (shape[0], *size), "scale": scale, "zero_point": zero_point}  # fmt: skip
        self.case(op, shape, layer, {}, scale, zero_point)

    def unary(self, op: str, shape: tuple[int, ...], scale: float, output: float, zero_point: int, **more) -> None:
        layer = {"op": op, "shape": shape, "scale": output, "zero_point": zero_point, **more}
        self.case(more.get("function", op), shape, layer, {}, scale, self.zero_point())


def windows(
    shape: tuple, kernel: tuple, stride: tuple, border: str, dilation: tuple, padding: tuple
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding (top, bottom, left, right) and the output's height and width; for ``same`` TensorFlow's rule."""
    sizes, pads = [], []
    for axis in range(2):
        size, reach = shape[1 + axis], (kernel[axis] - 1) * dilation[axis] + 1
        before, after = padding[2 * axis : 2 * axis + 2]
        if border == "same":
            total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach - size, 0)
            before, after = total // 2, total - total // 2
        sizes.append((size + before + after - reach) // stride[axis] + 1)
        pads += [before, after]
    return tuple(pads), tuple(sizes)


def draw_layers(seed: int = 20) -> tuple[list[dict], Arrays]:
    """Single layers: each feature alone, then the extremes of scale, then combinations."""
    d = Drawer(seed)
    for stride in ((1, 1), (2, 2), (1, 3), (3, 2)):
        for border in ("valid", "same"):
            d.conv((3, 9, 7), 5, (3, 3), stride, border)
            d.conv((4, 7, 9), 4, (3, 2), stride, border, groups=4, activation="relu")
    for padding in ((1, 1, 1, 1), (2, 0, 1, 3), (0, 3, 2, 0), (4, 4, 4, 4)):
        d.conv((2, 6, 5), 3, (5, 4), (1, 2), "pad", padding=padding)
        d.conv((3, 6, 5), 6, (3, 3), (2, 1), "pad", groups=3, padding=padding, activation="relu6")
    for kernel, out in (((1, 1), 7), ((5, 5), 2), ((1, 7), 3), ((6, 1), 1)):
        for activation in (None, "relu", "relu6"):
            d.conv((5, 8, 11), out, kernel, activation=activation)
    for spread in (
        1e-4,
        1e-2,
        0.1,
        0.5,
        10,
        1e3,
        1e7,
    ):  # from all saturated, with left shifts, to all at the zero point
        d.conv((2, 5, 4), 3, (3, 3), spread=spread)
        d.conv((3, 5, 4), 3, (2, 3), groups=3, spread=spread, per_channel=False)
        d.linear((17,), 6, per_channel=False, spread=spread)
        d.linear((17,), 6, per_channel=True, spread=spread)
    d.conv((1, 12, 10), 6, (5, 5), border="same", dilation=(2, 1))
    d.conv((2, 12, 10), 3, (3, 3), dilation=(2, 3), activation="relu")
    d.conv((6, 5, 7), 4, (3, 3), groups=2)
    d.conv((6, 5, 7), 9, (2, 2), groups=3, activation="relu")
    d.conv((2, 9, 5), 6, (3, 3), border="same", groups=2, dilation=(2, 2))
    d.conv((3, 6, 8), 5, (3, 3), per_channel=False, activation="relu6")
    for shape, out in (((400,), 12), ((1,), 5), ((3, 4, 5), 7), ((33,), 1)):
        for per_channel in (False, True):
            d.linear(shape, out, per_channel)
            d.linear(shape, out, per_channel, activation="relu")
    d.linear((64,), 10, per_channel=False, activation="relu6")
    for kernel, stride in (((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 3)), ((5, 4), (5, 4)), ((7, 9), (1, 1))):
        for border in ("valid", "same"):
            d.pool("avg_pool2d", (3, 7, 9), kernel, stride, border)
            d.pool("max_pool2d", (2, 9, 10), kernel, stride, border)
    for padding in ((1, 1, 1, 1), (1, 0, 0, 2)):
        d.pool("avg_pool2d", (3, 6, 5), (3, 3), (2, 2), "pad", padding)
    for scale in (0.003, 0.02, 0.1, 0.7):
        d.unary("activation", (3, 5, 7), scale, 1 / 256, -128, function="sigmoid")
        d.unary("activation", (3, 5, 7), scale, 1 / 128, 0, function="tanh")
        d.unary("activation", (3, 5, 7), scale, scale * 0.8, d.zero_point(), function="leaky_relu", slope=0.1)
        d.unary("softmax", (10,), scale, 1 / 256, -128)
        d.unary("log_softmax", (10,), scale, 16 / 256, 127)
    for per_channel in (False, True):
        d.boundaries("linear", per_channel)
        d.boundaries("conv2d", per_channel)
    return d.cases, d.arrays


def draw_lenet5(mnist_folder: Path) -> tuple[list[dict], Arrays]:
    """The example's network, layer by layer as TensorFlow Lite has them: pools are not fused."""
    sys.path.insert(0, str(EXAMPLE))
    import mnist

    from uc_nn_pio.capture import capture
    from uc_nn_pio.graph.ops import Conv2d
    from uc_nn_pio.graph.quant import to_int8
    from uc_nn_pio.lower import lower
    from uc_nn_pio.quantize import calibrate, quantize
    from uc_nn_pio.spec import load_spec

    data = mnist.load(mnist_folder)
    graph = lower(capture(load_spec(EXAMPLE / "models" / "lenet5.yaml")).graph)
    one = np.float32(255)
    train = mnist.network_view(data.train.images[:200]).astype(np.float32) / one
    test = mnist.network_view(data.test.images[:8]).astype(np.float32) / one
    small = quantize(graph, calibrate(graph, [train]))
    entry = small.tensor(small.inputs[0])
    given = {"shape": entry.shape, "scale": float(entry.quant.scale), "zero_point": entry.quant.zero_point}
    layers, arrays = [], {"lenet5/input": to_int8(test, entry.quant)}
    for node in small.nodes:
        after = small.tensor(node.output)
        quant = {"scale": float(after.quant.scale), "zero_point": after.quant.zero_point}
        layer = {"name": node.name, "op": node.op.kind, "shape": after.shape, **quant}
        layer["activation"] = node.op.activation.function if node.op.activation else None
        layers.append(layer)
        if isinstance(node.op, Conv2d):
            window = {"stride": (1, 1), "padding": (0, 0, 0, 0), "border": "valid"}
            layer |= window | {"kernel": node.op.kernel, "dilation": (1, 1), "groups": 1, "shape": node.op.conv_shape}
            pool = node.op.pool
            name = node.output
            layers.append(
                {"name": name, "op": pool.kind, **window, **quant, "kernel": pool.kernel, "shape": after.shape}
            )
            layers[-1]["stride"] = pool.stride
        for role in ("weight", "bias", "weight_scale"):
            arrays[f"lenet5/{node.name}/{role}"] = small.constant(node, role)
    return [{"name": "lenet5", "input": given, "layers": layers}], arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True, help="folder with MNIST's four idx files")
    folder = parser.parse_args().mnist
    case_file.save("layers", *draw_layers())
    case_file.save("lenet5", *draw_lenet5(folder))


if __name__ == "__main__":
    main()
