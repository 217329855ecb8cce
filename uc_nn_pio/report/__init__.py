"""What a design costs: RAM, flash and multiply-accumulates a layer, and what each of the paper's steps saves."""

from __future__ import annotations

from uc_nn_pio.report.ablation import ablation, ablation_text
from uc_nn_pio.report.summary import report, report_text

__all__ = ["ablation", "ablation_text", "report", "report_text"]
