"""Networks that PyTorch has quantized: the files that torchao made, in integers and in C; and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.capture.helpers import write_spec
from tests.capture.quantized_layers import OPS, QDQ, Quantized, random_quantized
from uc_nn_pio.capture import capture, capture_module, load_model
from uc_nn_pio.converter import Conversion, convert, make_design
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import ErrorGroup, ModelError, SpecError, UcNnError, UnsupportedError
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.graph.ops import AvgPool2d
from uc_nn_pio.graph.quant import QuantParams, to_int8, to_real
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Range, lift, quantize_imported, unquantized
from uc_nn_pio.reference import integer
from uc_nn_pio.spec import CalibrationSpec, InputSpec, ModelSource, ModelSpec, Preprocess, load_spec
from uc_nn_pio.validation.host import HostModel

FOLDER = Path(__file__).parent / "pt2e"
SHAPE = (2, 10, 13)
WHOLE = ["static_channel", "static_tensor", "qat", "narrow", "int32_bias", "unfolded", "residual"]
FLOAT_OUTPUT = ["uint8", "reduced"]
"""X86InductorQuantizer leaves the last layer's output in float."""


def spec_of(folder: Path, name: str, rest: str = "") -> ModelSpec:
    """The spec of a stored network; ``rest`` are further lines."""
    shutil.copy(FOLDER / f"{name}.pt2", folder / "net.pt2")
    spec = write_spec(folder, "export: net.pt2", str(list(SHAPE)), "net")
    with spec.path.open("a") as file:
        file.write(rest)
    return load_spec(spec.path)


def converted(folder: Path, name: str) -> Conversion:
    spec = spec_of(folder, name)
    if name in FLOAT_OUTPUT:
        np.savez(folder / "cal.npz", images=stored(name)["bytes"])
        spec = replace(
            spec,
            input=InputSpec(SHAPE, None, Preprocess(scale=1 / 200)),
            calibration=CalibrationSpec(folder / "cal.npz", "network"),
        )
    return convert(spec)


def stored(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as data:
        return dict(data)


def images(name: str) -> np.ndarray:
    return stored(name)["bytes"] / np.float32(200)


def integers_of(graph: Graph, x: np.ndarray) -> np.ndarray:
    return integer.outputs_batch(graph, to_int8(x, graph.tensor(graph.inputs[0]).quant))[graph.outputs[0]]


def steps_from(graph: Graph, x: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far the integer network is from ``expected``, in steps of its output."""
    quant = graph.tensor(graph.outputs[0]).quant
    return np.abs(to_real(integers_of(graph, x), quant) - expected) / quant.scale


def imported(module: nn.Module, shape: tuple[int, ...]) -> Graph:
    lifted = lift(capture_module(module.eval(), shape, "net"))
    assert lifted is not None
    return quantize_imported(lower(lifted.graph), lifted)


@pytest.mark.parametrize("name", [*WHOLE, *FLOAT_OUTPUT])
def test_stored_networks_are_torchs_and_their_c_is_the_references(name: str, tmp_path: Path) -> None:
    conversion = converted(tmp_path, name)
    graph = conversion.design.graph
    assert {tensor.dtype for tensor in graph.values()} == {DType.INT8}
    x, expected = images(name), stored(name)["output"]
    steps = steps_from(graph, x, expected)
    assert steps.max() < 1.001
    assert (steps > 0.5).mean() < 0.2
    shapes = (SHAPE, graph.tensor(graph.outputs[0]).shape)
    model = HostModel(conversion.files, "net", shapes, tmp_path)
    given = to_int8(x, graph.tensor(graph.inputs[0]).quant)
    assert np.count_nonzero(model.run_integers(given) != integers_of(graph, x)) == 0


@pytest.mark.parametrize("name", [*WHOLE, *FLOAT_OUTPUT])
def test_weights_are_the_files_own_integers(name: str, tmp_path: Path) -> None:
    graph = converted(tmp_path, name).design.graph
    weights = {key.partition(".")[0]: array for key, array in stored(name).items() if key.endswith(".weight")}
    assert len(weights) == {"unfolded": 0, "residual": 6}.get(name, 4)  # unfolded: the file quantizes floats
    for layer, expected in weights.items():
        found = graph.constant(next(node for node in graph.nodes if node.name == layer), "weight")
        assert found.dtype == expected.dtype == np.int8
        maps = {("residual", "fc"): (9, 5, 6)}.get((name, layer), (6, 2, 2) if layer == "fc1" else None)
        if maps:  # memory is H, W, C
            outputs = len(expected)
            expected = expected.reshape(outputs, *maps).transpose(0, 2, 3, 1).reshape(outputs, -1)
        np.testing.assert_array_equal(found, expected)


def test_what_is_fused(tmp_path: Path) -> None:
    nodes = converted(tmp_path, "static_channel").design.graph.nodes
    assert [(node.name, node.op.title) for node in nodes] == [
        ("conv1", "conv2d + relu + max_pool2d"),
        ("conv2", "conv2d + relu"),
        ("pool2", "avg_pool2d"),
        ("fc1", "linear + relu"),
        ("fc2", "linear"),
    ]


def test_branches_keep_their_own_scales(tmp_path: Path) -> None:
    graph = converted(tmp_path, "residual").design.graph
    titles = {node.name: node.op.title for node in graph.nodes}
    assert (titles["add"], titles["add_1"], titles["cat"]) == ("add + relu", "add", "concat")
    node = next(node for node in graph.nodes if node.name == "cat")
    assert len({graph.tensor(name).quant for name in (*node.inputs, node.output)}) == 1
    # torchao gives the joined map a scale of its own, so each part of it goes through a table
    assert [titles[name] for name in node.inputs] == ["rescale"] * 3


def test_scales_of_weights_are_those_of_the_file(tmp_path: Path) -> None:
    for name, count in (("static_channel", 4), ("static_tensor", 1)):
        graph = converted(tmp_path, name).design.graph
        scale = graph.constant(graph.nodes[0], "weight_scale")
        assert len(np.unique(scale)) == count
        lifted = lift(capture(spec_of(tmp_path, name)).graph)
        conv = next(node for node in lifted.graph.nodes if node.name == "conv1")
        assert set(scale) == set(lifted.graph.constant(conv, "weight_scale"))


def test_reduced_ranges_hold(tmp_path: Path) -> None:
    """``narrow``: activations from -100 to 90; ``reduced``: uint8 from 0 to 127."""
    for name, low, high in (("narrow", -100, 90), ("reduced", -128, -1)):
        graph = converted(tmp_path, name).design.graph
        values = integer.run_batch(graph, to_int8(images(name), graph.tensor(graph.inputs[0]).quant))
        last = graph.outputs if name in FLOAT_OUTPUT else ()
        inner = [array for key, array in values.items() if key not in (*graph.inputs, *last)]
        assert min(array.min() for array in inner) >= low
        assert max(array.max() for array in inner) == high


def test_a_bias_stored_in_int32_stays_what_it_is(tmp_path: Path) -> None:
    graph = converted(tmp_path, "int32_bias").design.graph
    lifted = lift(capture(spec_of(tmp_path, "int32_bias")).graph)
    for name in ("conv1", "conv2", "fc1", "fc2"):
        before, after = (next(node for node in g.nodes if node.name == name) for g in (lifted.graph, graph))
        wanted = lifted.graph.constant(before, "bias_integers")
        np.testing.assert_array_equal(graph.constant(after, "bias"), wanted)
        assert wanted.any()


def test_a_float_bias_rounds_half_away_to_steps_of_input_times_weight() -> None:
    linear = nn.Linear(2, 4)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[127.0, 1], [-127, 0], [0, 127], [3, 4]]) / 128)
        linear.bias.copy_(torch.tensor([2.5, -2.5, 3.4, 0]) / 128 / 64)
    graph = imported(nn.Sequential(QDQ(1 / 64), Quantized(linear), QDQ(1 / 16)), (2,))
    assert graph.constant(graph.nodes[0], "bias").tolist() == [3, -3, 3, 0]


def test_uint8_shifts_by_128() -> None:
    linear = Quantized(nn.Linear(3, 2))
    signed = imported(nn.Sequential(QDQ(0.02, -28), linear, QDQ(0.03, 2)), (3,))
    shifted = imported(nn.Sequential(QDQ(0.02, 100, torch.uint8), linear, QDQ(0.03, 130, torch.uint8)), (3,))
    assert [t.quant for t in signed.values()] == [t.quant for t in shifted.values()]
    assert signed.tensor(signed.inputs[0]).quant == QuantParams(np.float32(0.02), -28)
    for role in ("weight", "bias", "multiplier", "exponent", "clamp"):
        arrays = [graph.constant(graph.nodes[0], role) for graph in (signed, shifted)]
        np.testing.assert_array_equal(*arrays)


def layer(seed: int) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """One convolution, whose activation stands inside the pair; limits and zero points at random."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    dtype = [torch.int8, torch.uint8][seed % 2]
    first = 128 * (seed % 2)
    convolution = Quantized(nn.Conv2d(3, 4, 3, padding=1), per_channel=seed % 3 > 0)
    pairs = [
        QDQ(scale, int(rng.integers(-100, 100)) + first, dtype, (first - 110, first + int(rng.integers(100, 127))))
        for scale in rng.uniform(0.002, 0.02, 2)
    ]
    activation = [nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.Dropout()][seed // 6 % 4]
    return nn.Sequential(pairs[0], convolution, activation, pairs[1]), (3, 6, 5)


def torchs(module: nn.Module, x: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(x).numpy()


def test_single_layers_are_torchs_but_for_the_rounding_of_halves() -> None:
    differ = []
    for seed in range(48):
        module, shape = layer(seed)
        x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(seed))
        steps = steps_from(imported(module, shape), x.numpy(), torchs(module, x))
        assert steps.max() < 1.001, seed
        differ.append((steps > 0.5).mean())
    assert np.mean(differ) < 1e-3


def test_random_chains_are_what_torch_computes() -> None:
    """A rounding that differs may grow in the layers behind. torch rounds the mean of four integers half to even, and
    here it is half away, so averages differ often."""
    differ = []
    for seed in range(60):
        module, shape = random_quantized(seed)
        graph = imported(module, shape)
        x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(seed)) * 1.1
        steps = steps_from(graph, x.numpy(), torchs(module, x))
        averages = any(isinstance(node.op, AvgPool2d) for node in graph.nodes)
        assert steps.max() < (10.001 if averages else 3.001), seed
        differ += [] if averages else [(steps > 0.5).mean()]
    assert np.mean(differ) < 0.02
    assert len(differ) > 20


def test_uint8_weights_around_128_are_symmetric() -> None:
    signed, shifted = (
        imported(flat(conv(zero_point=z, dtype=d)), (2, 6, 5)) for z, d in ((0, torch.int8), (128, torch.uint8))
    )
    np.testing.assert_array_equal(*(graph.constant(graph.nodes[0], "weight") for graph in (signed, shifted)))


def test_an_average_between_two_scales_is_requantized() -> None:
    module = flat(nn.AvgPool2d(2), QDQ(0.005, 7), conv_of(2))
    graph = imported(module, (2, 6, 5))
    assert graph.nodes[0].op.divisor_override == 4
    x = torch.rand(6, 2, 6, 5)
    assert steps_from(graph, x.numpy(), torchs(module, x)).max() < 1.001


def test_random_chains_in_c(tmp_path: Path) -> None:
    for seed in range(0, 60, 6):
        module, shape = random_quantized(seed)
        design = design_of(module, shape)
        (tmp_path / str(seed)).mkdir()
        shapes = (shape, design.graph.tensor(design.graph.outputs[0]).shape)
        model = HostModel(render(design), "net", shapes, tmp_path / str(seed))
        x = np.random.default_rng(seed).integers(-128, 128, (20, *shape)).astype(np.int8)
        expected = integer.outputs_batch(design.graph, x)[design.graph.outputs[0]]
        assert np.count_nonzero(model.run_integers(x) != expected) == 0, seed


def design_of(module: nn.Module, shape: tuple[int, ...], **spec: object) -> Design:
    model = ModelSpec(Path("net.yaml"), "net", ModelSource(), InputSpec(shape), text_sha256="0" * 64, **spec)
    return make_design(model, capture_module(module.eval(), shape, "net"), None)


def test_the_network_as_torch_runs_it_is_at_hand_for_validation(tmp_path: Path) -> None:
    """Without torchao's operators: the stored outputs, to the bit of a rounding."""
    for name in ("qat", "uint8", "int32_bias"):
        found = torchs(load_model(spec_of(tmp_path, name)), torch.from_numpy(images(name)))
        np.testing.assert_allclose(found, stored(name)["output"], atol=1e-6)


# Precision and calibration


def test_int8_needs_no_calibration_and_no_key(tmp_path: Path) -> None:
    for rest in ("", "precision: int8\n"):
        assert convert(spec_of(tmp_path, "qat", rest)).design.precision == "int8"


def test_float32_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        convert(spec_of(tmp_path, "qat", "precision: float32\n"))
    text = str(caught.value)
    assert "model.yaml:7:1: error: precision: float32, but the network is quantized" in text
    assert "precision: int8" in caught.value.next_step


def test_calibration_finds_what_torch_left_in_float_and_nothing_else(tmp_path: Path) -> None:
    lifted = lift(capture(spec_of(tmp_path, "uint8")).graph)
    lowered = lower(lifted.graph)
    assert unquantized(lowered, lifted) == ("fc2",)
    graph = quantize_imported(lowered, lifted, {"fc2": Range(-1, 1.5), "conv1": Range(-7, 7)})
    assert graph.tensor("fc2").quant == QuantParams(np.float32(2.5 / 255), -26)
    assert {name: graph.tensor(name).quant for name in lifted.grids if name in graph.tensors} == {
        name: grid.params for name, grid in lifted.grids.items() if name in graph.tensors
    }


def test_without_it_the_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        convert(spec_of(tmp_path, "uint8"))
    text = str(caught.value)
    assert "the output of fc2 (linear) is not quantized" in text
    assert "needs its scale and zero point" in text
    assert "calibration samples" in caught.value.next_step


def test_a_float_network_is_none() -> None:
    assert lift(capture_module(nn.Sequential(nn.Linear(3, 2)), (3,), "net")) is None


# What is refused


def error_of(function: Callable[[], object]) -> UcNnError:
    with pytest.raises(UcNnError) as caught:
        function()
    assert caught.value.next_step or isinstance(caught.value, ErrorGroup)
    return caught.value


@pytest.mark.parametrize(
    ("name", "what", "cure"),
    [
        ("dynamic", "net.pt2 chooses its scales when it runs: it calls choose_qparams", "is_dynamic=False"),
        ("reference", "another form than quantize and dequantize", "without use_reference_representation"),
        ("unconverted", "is prepared for quantization, but not converted", "prepare_pt2e and convert_pt2e"),
    ],
)
def test_stored_networks_that_are_refused(name: str, what: str, cure: str, tmp_path: Path) -> None:
    error = error_of(lambda: convert(spec_of(tmp_path, name)))
    assert what in str(error)
    assert cure in error.next_step


def conv(**options: object) -> Quantized:
    torch.manual_seed(3)
    return Quantized(nn.Conv2d(2, 3, 3), **options)


def flat(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(QDQ(0.01, -128), *layers, QDQ(0.02, 3))


BATCH_NORM = nn.BatchNorm2d(3)

REFUSED = {
    "float layer": (
        lambda: flat(conv(), QDQ(0.02), nn.Conv2d(3, 2, 1)),
        ("the weights of", "are not quantized", "int8 needs all layers"),
        "QuantizationSpec for its weight",
    ),
    "float input": (
        lambda: nn.Sequential(conv(), QDQ(0.02)),
        ("the network's input input is not quantized",),
        "input_qspec_map",
    ),
    "float between": (
        lambda: flat(conv(), nn.Sigmoid(), conv_of(3)),
        ("the output of", "(conv2d) is not quantized"),
        "output_qspec",
    ),
    "asymmetric weights": (
        lambda: flat(conv(zero_point=3)),
        ("its weight is quantized with a zero point: 3", "symmetric in int8"),
        "per_tensor_symmetric",
    ),
    "16 bits of weights": (
        lambda: flat(conv(dtype=torch.int16, largest=1000)),
        ("its weight holds integers from -957 to 893", "weights have 8 bits"),
        "torch.int8",
    ),
    "channels of an activation": (
        lambda: flat(ByChannel(), conv()),
        ("quantize_per_channel is not supported",),
        "quantize activations per tensor",
    ),
    "another axis": (
        lambda: flat(conv(per_channel=True, axis=1)),
        ("scales along another axis than that of the outputs", "products of one scale"),
        "ch_axis=0",
    ),
    "batch norm": (
        lambda: flat(conv(), BATCH_NORM),
        ("a batch norm is left in a quantized network", "weights that are integers already"),
        "right behind its convolution",
    ),
    "average": (
        lambda: flat(conv(), QDQ(0.02), nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), QDQ(0.01)),
        ("changes the scale, and its windows have several sizes", "from 0.02 to 0.01"),
        "SharedQuantizationSpec",
    ),
    "softmax": (
        lambda: nn.Sequential(QDQ(0.01, -128), nn.Flatten(), fc(), QDQ(0.02), nn.Softmax(1), QDQ(0.01)),
        ("softmax quantized to scale 0.01", "it gives scale 0.00390625, zero point -128"),
        "FixedQParamsQuantizationSpec",
    ),
    "int16": (
        lambda: nn.Sequential(QDQ(0.01, 0, torch.int16), conv(), QDQ(0.02)),
        ("activations quantized to int16 are not supported",),
        "torch.int8",
    ),
    "does not fit": (
        lambda: nn.Sequential(QDQ(0.01, other=(0.02, 0)), conv(), QDQ(0.02)),
        ("a dequantize does not fit the quantize in front of it", "from scale 0.01, zero point 0 to scale 0.02"),
        "unedited",
    ),
    "bias": (
        lambda: flat(with_bias(1e6)),
        ("the bias of output 0 of", "does not fit into 32 bits", "steps of input scale * weight scale"),
        "eps of its observer",
    ),
    "accumulator": (
        lambda: flat(with_bias(5242.0)),
        ("the accumulator of output channel 0 can overflow 32 bits", "|bias| + 255 * sum|weight|"),
        "smaller bias",
    ),
    "scale of no number": (
        lambda: nn.Sequential(QDQ(1e-60), conv(), QDQ(0.02)),
        ("a scale of 1e-60", "positive and finite in float32"),
        "convert_pt2e",
    ),
}


class ByChannel(nn.Module):
    """An activation with a scale for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scales", torch.ones(2))
        self.register_buffer("points", torch.zeros(2, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest = (self.scales, self.points, 1, -128, 127, torch.int8)
        return OPS.dequantize_per_channel(OPS.quantize_per_channel(x, *rest), *rest)


def conv_of(inputs: int) -> Quantized:
    return Quantized(nn.Conv2d(inputs, 2, 1))


def fc() -> Quantized:
    return Quantized(nn.Linear(2 * 6 * 5, 4))


def with_bias(value: float) -> Quantized:
    """Weights in steps of 2^-12, the input in steps of 0.01; 2^31 steps of the bias are 5,242.9."""
    layer = nn.Conv2d(2, 3, 3)
    with torch.no_grad():
        layer.weight.fill_(127 * 2.0**-12)
        layer.bias.fill_(value)
    return Quantized(layer)


@pytest.mark.parametrize(("make", "says", "cure"), REFUSED.values(), ids=REFUSED)
def test_refused(make: Callable[[], nn.Module], says: tuple[str, ...], cure: str) -> None:
    error = error_of(lambda: imported(make(), (2, 6, 5)))
    for part in says:
        assert part in str(error)
    assert cure in str(error).partition("next:")[2]
    assert not isinstance(error, ErrorGroup)


def test_weights_that_something_changed_are_refused(tmp_path: Path) -> None:
    lifted = lift(capture(spec_of(tmp_path, "static_channel")).graph)
    lowered = lower(lifted.graph)
    name = next(node for node in lowered.nodes if node.name == "conv2").constants["weight"]
    weight = lowered.constants[name].copy()
    weight[0, 0, 0, 0] = np.nextafter(weight[0, 0, 0, 0], np.float32(1))
    changed = replace(lowered, constants={**lowered.constants, name: weight})
    with pytest.raises(ModelError, match="the weights of conv2 are not int8 integers times their scale"):
        quantize_imported(changed, lifted)


def test_all_layers_without_scales_are_told_at_once() -> None:
    module = flat(conv(), QDQ(0.02), nn.Conv2d(3, 2, 1), QDQ(0.1), nn.Flatten(), nn.Linear(24, 3))
    error = error_of(lambda: imported(module, (2, 6, 5)))
    assert isinstance(error, ErrorGroup)
    assert str(error).count("are not quantized") == 2
