"""Makes ``pt2e/*.pt2``: small networks that torchao has quantized, and what torch computes for them (``pt2e/*.npz``).

    python -m venv /some/where && /some/where/bin/pip install torch==2.13.0 torchao==0.18.0 numpy
    /some/where/bin/python -m tests.quantize.make_pt2e          # or some of them: ... make_pt2e residual

The project's environment has no torchao. The files are what ``torch.export.save`` writes, but for stack traces, which
would hold this machine's paths. Each ``.npz`` has ``bytes`` (n, *shape) uint8, of which a 200th is the input, so that
some lie beyond what the observers have seen; ``output`` (n, ...) float32, of the Q/DQ graph in torch; and by layer the
integers of its weights (``<layer>.weight``), out of the converted graph.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchao.quantization.pt2e import (
    HistogramObserver,
    PerChannelMinMaxObserver,
    move_exported_model_to_eval,
    move_exported_model_to_train,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import (
    DerivedQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
)
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)
from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

FOLDER = Path(__file__).parent / "pt2e"
SHAPE = (2, 10, 13)
SAMPLES = 24


class Chain(nn.Module):
    """Layers called by their names."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.children():
            x = layer(x)
        return x


def lenet() -> nn.Module:
    """Both pools: torchao shares the scale of a max-pool; that of an average, where the quantizer says so."""
    return Chain(
        conv1=nn.Conv2d(2, 4, 3),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(4, 6, 3, padding=1),
        relu2=nn.ReLU(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(6 * 2 * 2, 9),
        relu3=nn.ReLU(),
        fc2=nn.Linear(9, 5),
    )


def mobile() -> nn.Module:
    """Batch norms, a depthwise convolution, relu6, dropout and softmax."""
    return Chain(
        conv1=nn.Conv2d(2, 6, (3, 2), stride=(1, 2), bias=False),
        bn1=nn.BatchNorm2d(6),
        relu1=nn.ReLU6(),
        conv2=nn.Conv2d(6, 6, 3, padding=(1, 0), groups=6),
        bn2=nn.BatchNorm2d(6),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(6, 7, 1),
        relu3=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        drop=nn.Dropout(0.4),
        fc=nn.Linear(7, 4),
        softmax=nn.Softmax(dim=1),
    )


class Residual(nn.Module):
    """Branches: a sum with relu behind it, a plain sum, and a join of three, one of them pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.short = nn.Conv2d(2, 4, 1)
        self.conv3 = nn.Conv2d(4, 3, 1)
        self.conv4 = nn.Conv2d(4, 3, 1)
        self.fc = nn.Linear(9 * 5 * 6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.conv1(x))
        b = torch.relu(self.conv2(a) + self.short(x))
        c = self.conv3(b)
        d = torch.relu(self.conv4(a))
        joined = torch.cat([c, nn.functional.max_pool2d(d, 3, 1, 1), c + d], dim=1)
        return self.fc(torch.flatten(nn.functional.max_pool2d(joined, 2), 1))


class WithBias(Quantizer):
    """Convolution and linear alone, each with a bias in int32; the output is quantized in front of the activation."""

    def annotate(self, model: Any) -> Any:
        act = QuantizationSpec(torch.int8, HistogramObserver.with_args(eps=2**-12), -128, 127, torch.per_tensor_affine)
        weight = QuantizationSpec(
            torch.int8, PerChannelMinMaxObserver.with_args(eps=2**-12), -127, 127, torch.per_channel_symmetric, 0
        )
        for node in model.graph.nodes:
            if node.target not in (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default):
                continue
            x, w, b = node.args[:3]
            bias = DerivedQuantizationSpec(
                [(x, node), (w, node)], _bias_params, torch.int32, -(2**31), 2**31 - 1, torch.per_channel_symmetric, 0
            )
            node.meta["quantization_annotation"] = QuantizationAnnotation({x: act, w: weight, b: bias}, act, True, True)
        return model

    def validate(self, model: Any) -> None:
        """Nothing to check."""


def _bias_params(observers: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    (x, _), (w, _) = (observer.calculate_qparams() for observer in observers)
    return (x * w).to(torch.float32), torch.zeros(len(w), dtype=torch.int64)


def xnnpack(**options: Any) -> Quantizer:
    return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(**options))


def x86(**options: Any) -> Quantizer:
    return X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config(**options))


def seen(count: int) -> list[torch.Tensor]:
    """Inputs from 0 to 1, for the observers."""
    return list(torch.rand(count, 1, *SHAPE))


def exported(module: nn.Module) -> Any:
    return torch.export.export(module, (torch.zeros(1, *SHAPE),)).module()


def static(module: nn.Module, quantizer: Quantizer, **options: bool) -> Any:
    """Post-training, as torchao's tutorial does it."""
    prepared = prepare_pt2e(exported(module.eval()), quantizer)
    for x in seen(30):
        prepared(x)
    return convert_pt2e(prepared, **options)


def trained(module: nn.Module, quantizer: Quantizer) -> Any:
    """Prepared for quantization-aware training, and trained for a few steps."""
    prepared = prepare_qat_pt2e(exported(module.train()), quantizer)
    move_exported_model_to_train(prepared)
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.05)
    for _ in range(30):
        x = torch.rand(8, 1, *SHAPE)
        losses = [
            nn.functional.nll_loss(torch.log(prepared(image)), image.sum(dtype=torch.int64)[None] % 4) for image in x
        ]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    return prepared


def qat() -> Any:
    model = convert_pt2e(trained(mobile(), xnnpack(is_per_channel=True, is_qat=True)))
    move_exported_model_to_eval(model)
    return model


def unconverted() -> Any:
    model = trained(mobile(), xnnpack(is_qat=True))
    move_exported_model_to_eval(model)
    return model


def head() -> nn.Module:
    """As small as can be, for what is refused."""
    return Chain(flatten=nn.Flatten(), fc=nn.Linear(2 * 10 * 13, 2))


CASES: dict[str, Callable[[], Any]] = {
    "static_channel": lambda: static(lenet(), xnnpack(is_per_channel=True)),
    "static_tensor": lambda: static(mobile(), xnnpack()),
    "qat": qat,
    "uint8": lambda: static(lenet(), x86()),
    "reduced": lambda: static(lenet(), x86(reduce_range=True)),
    "narrow": lambda: static(lenet(), xnnpack(act_qmin=-100, act_qmax=90, weight_qmin=-128)),
    "int32_bias": lambda: static(lenet(), WithBias()),
    "residual": lambda: static(Residual(), xnnpack(is_per_channel=True)),
    "unfolded": lambda: static(lenet(), xnnpack(is_per_channel=True), fold_quantize=False),
}
"""By file name: networks that are taken."""

REFUSED: dict[str, Callable[[], Any]] = {
    "dynamic": lambda: static(head(), xnnpack(is_per_channel=True, is_dynamic=True)),
    "reference": lambda: static(head(), xnnpack(), use_reference_representation=True),
    "unconverted": unconverted,
}
"""By file name: networks that are refused."""

CORE = ("unfolded",)
"""Decomposed to core ATen before they are saved."""


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """The integers of each layer, by its name."""
    found = {}
    for node in model.graph.nodes:
        if node.target in (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default):
            constant = node.args[1].args[0]
            layer = list(node.meta["nn_module_stack"].values())[-1][0].rpartition(".")[2]
            if constant.op == "get_attr" and not constant.target.endswith("weight"):
                found[f"{layer}.weight"] = getattr(model, constant.target).numpy()
    return found


def save(name: str, model: Any) -> None:
    program = torch.export.export(model, (torch.zeros(1, *SHAPE),))
    program = program.run_decompositions() if name in CORE else program
    for node in program.graph.nodes:
        for key in ("stack_trace", "from_node", "source_fn_stack"):
            node.meta.pop(key, None)
    torch.export.save(program, FOLDER / f"{name}.pt2")


def main(*only: str) -> None:
    """All files, or those named."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in CASES.items():
        if only and name not in only:
            continue
        torch.manual_seed(len(name))
        model = make()
        data = np.random.default_rng(len(name)).integers(0, 256, (SAMPLES, *SHAPE)).astype(np.uint8)
        with torch.no_grad():
            outputs = [model(torch.from_numpy(image[None] / np.float32(200)))[0].numpy() for image in data]
        np.savez_compressed(FOLDER / f"{name}.npz", bytes=data, output=np.stack(outputs), **weights_of(model))
        save(name, model)
    for name, make in REFUSED.items():
        if only and name not in only:
            continue
        torch.manual_seed(len(name))
        save(name, make())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main(*sys.argv[1:])
