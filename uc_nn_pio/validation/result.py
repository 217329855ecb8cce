"""What a validation found, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from uc_nn_pio.validation.layers import LayerCheck


@dataclass(frozen=True)
class Validation:
    """What a validation found. ``worst_difference`` is relative to the largest logit of its sample (absolute).

    ``outputs`` counts output values, all samples together; ``integer_differences`` those of an int8 model that are not
    the integer reference's, of which there must be none. None in float32, where the last bits may differ.
    ``confusion[label][class]`` counts samples. On a board: ``cycles`` of each run, at ``core_hz``, and how many frames
    were ``asked_again``. ``layers`` are those of sample ``traced_sample``: the one with the most wrong integers, or
    else with the worst difference.
    """

    model: str
    target: str
    samples: int
    accuracy: float
    torch_accuracy: float
    same_class: int
    worst_difference: float
    min_accuracy: float | None
    precision: str = "float32"
    outputs: int = 0
    integer_differences: int | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    cycles: tuple[int, ...] = ()
    core_hz: int | None = None
    asked_again: int = 0
    traced_sample: int = 0
    layers: tuple[LayerCheck, ...] = ()

    @property
    def passed(self) -> bool:
        """Accurate enough, and the integers are the reference's, in every layer."""
        exact = self.precision != "int8" or (not self.integer_differences and self.diverges is None)
        return exact and (self.min_accuracy is None or self.accuracy >= self.min_accuracy)

    @property
    def diverges(self) -> LayerCheck | None:
        """The first layer whose output is not the reference's."""
        return next((layer for layer in self.layers if layer.agrees is False), None)

    def as_dict(self) -> Mapping[str, Any]:
        return {
            **asdict(self),
            "passed": self.passed,
            "diverges": self.diverges and self.diverges.name,
        }

    def _confused(self) -> list[str]:
        """The pairs of classes that are taken for each other most often."""
        wrong = [
            (count, label, found)
            for label, row in enumerate(self.confusion)
            for found, count in enumerate(row)
            if count and label != found
        ]
        most = sorted(wrong, key=lambda item: -item[0])[:5]
        shown = ", ".join(f"{label} as {found} ({count})" for count, label, found in most)
        return [f"  confused           {shown}"] if most else []

    def text(self) -> str:
        limit = "" if self.min_accuracy is None else f" (at least {100 * self.min_accuracy:.2f} % is asked for)"
        lines = [
            f"{self.model}, {self.precision}, on {self.target}: {'passed' if self.passed else 'FAILED'}",
            f"  accuracy           {100 * self.accuracy:.2f} % of {self.samples} samples{limit}",
            f"  torch's accuracy   {100 * self.torch_accuracy:.2f} %",
            f"  same class         {self.same_class} of {self.samples}",
            f"  worst difference   {self.worst_difference:.2e} of the largest output",
        ]
        if self.cycles:
            mean, worst = sum(self.cycles) / len(self.cycles), max(self.cycles)
            each = f" ({1000 * worst / self.core_hz:.2f} ms at {self.core_hz / 1e6:g} MHz)" if self.core_hz else ""
            lines.append(f"  cycles             {mean:,.0f} a run, {worst:,} at most{each}")
        if self.asked_again:
            lines.append(f"  line               {self.asked_again} frames asked again")
        lines += self._confused()
        if self.integer_differences is not None:
            meaning = "" if self.integer_differences == 0 else ": a defect of the converter or the compiler"
            lines.append(f"  integer reference  {self.integer_differences} of {self.outputs} outputs differ{meaning}")
        return "\n".join(lines + self._of_layers())

    def _of_layers(self) -> list[str]:
        with_code = [layer for layer in self.layers if layer.agrees is not None]
        if not with_code:
            return []
        wrong, of_sample = self.diverges, f"sample {self.traced_sample}"
        said = f"all {len(with_code)} as the reference has them ({of_sample})"
        if wrong:
            said = f"{wrong.name} is the first that differs from the reference ({of_sample}): {wrong.source}"
            said += "" if wrong.worst is None else f", by {wrong.worst:.3g}"
        lines = [f"  layers             {said}"]
        if any(layer.cycles for layer in with_code):
            width = max(len("layer"), *(len(layer.name) for layer in with_code))
            total = sum(layer.cycles or 0 for layer in with_code)
            lines.append(f"    {'layer':<{width}} {'cycles':>13} {'share':>7} {'predicted':>13}")
            for layer in with_code:
                cycles, predicted = layer.cycles or 0, "-" if layer.predicted is None else f"{layer.predicted:,}"
                mark = "" if layer.agrees else "  differs"
                lines.append(
                    f"    {layer.name:<{width}} {cycles:>13,} {100 * cycles / total:>5.1f} % {predicted:>13}{mark}"
                )
        return lines
