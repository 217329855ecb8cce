"""What a design costs: RAM, flash, multiply-accumulates and int8's noise a layer, and what each of the paper's steps
saves."""

from __future__ import annotations

from uc_nn_pio.report.ablation import ablation, ablation_text
from uc_nn_pio.report.quantization import noise_data, noise_text, ranges_text
from uc_nn_pio.report.summary import map_text, report, report_line, report_text

__all__ = [
    "ablation",
    "ablation_text",
    "map_text",
    "noise_data",
    "noise_text",
    "ranges_text",
    "report",
    "report_line",
    "report_text",
]
