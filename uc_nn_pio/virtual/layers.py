"""What each generated layer costs, with everything that it calls (soft float, copies).

A model is a function ``<model>_run`` of the firmware with other symbols ``<model>_...`` beside it. Its layers are the
``<model>_<layer>`` functions that it calls; the compiler may have put them into ``<model>_run`` itself, then the debug
information (``-g``) says where each begins. The blocks' counts are looked at whenever a layer begins and when
``<model>_run`` returns, so a layer has all that happened until the next, interrupts too. This changes no count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile
from unicorn import Uc
from unicorn import unicorn_const as uc_const

from uc_nn_pio.virtual.firmware import Firmware


@dataclass
class LayerRows:
    """Counts of a layer over all runs, one row a block as in ``TimingTable.counts``; ``name`` is without the model's
    prefix, "" for ``<model>_run`` itself."""

    name: str
    entered: int = 0
    rows: np.ndarray | None = None


@dataclass
class ModelRows:
    """Counts of a model: how often it ran to its end, and its layers in the order they came."""

    name: str
    runs: int = 0
    layers: dict[str, LayerRows] = field(default_factory=dict)


@dataclass(frozen=True)
class _Span:
    """``<model>_run`` in the firmware, and the addresses at which layers begin: (name, is inlined)."""

    model: str
    start: int
    end: int
    entries: dict[int, tuple[str, bool]]


class LayerWatch:
    """Counts the layers of one core's firmware. ``counts`` gives the present counts of all blocks, one a row; rows are
    only ever added."""

    def __init__(self, cpu: Any, counts: Callable[[], np.ndarray]) -> None:
        self._cpu = cpu
        self._counts = counts
        self._spans = _find_models(cpu.firmware)
        self.models = {span.model: ModelRows(span.model) for span in self._spans}
        self._running: _Span | None = None
        self._layer = ""
        self._return = 0
        self._since = np.zeros((0, 0), np.int64)
        self._return_hooks: set[int] = set()
        for span in self._spans:
            self._hook(span.start, lambda span=span: self._begin(span))
            for address, (name, inlined) in span.entries.items():
                self._hook(address, lambda span=span, name=name, inlined=inlined: self._enter(span, name, inlined))

    def _hook(self, address: int, function: Callable[[], None]) -> None:
        def reached(uc: Uc, at: int, size: int, user: object) -> None:
            if not self._cpu.squashing:
                function()

        self._cpu.uc.hook_add(uc_const.UC_HOOK_CODE, reached, begin=address, end=address)

    def _begin(self, span: _Span) -> None:
        self._running, self._layer, self._since = span, "", self._counts()
        self._return = self._cpu.register("ra") & 0xFFFF_FFFF
        if self._return not in self._return_hooks:
            self._return_hooks.add(self._return)
            self._hook(self._return, lambda address=self._return: self._end(address))
            self._cpu.uc.ctl_remove_cache(self._return, self._return + 2)

    def _enter(self, span: _Span, name: str, inlined: bool) -> None:
        if self._running is not span or (inlined and name == self._layer):
            return
        if not inlined:
            caller = self._cpu.register("ra") & 0xFFFF_FFFF
            if not (span.start <= caller < span.end or caller == self._return):
                return  # a layer's helper, not a layer
        self._close()
        self._layer = name
        self._rows().entered += 1

    def _end(self, address: int) -> None:
        if self._running is not None and address == self._return:
            self._close()
            self.models[self._running.model].runs += 1
            self._running = None

    def _rows(self) -> LayerRows:
        assert self._running is not None
        return self.models[self._running.model].layers.setdefault(self._layer, LayerRows(self._layer))

    def _close(self) -> None:
        now, layer = self._counts(), self._rows()
        spent = now.copy()
        spent[: len(self._since)] -= self._since
        if layer.rows is not None:
            spent[: len(layer.rows)] += layer.rows
        layer.rows = spent
        self._since = now


# -- what the ELF says -----------------------------------------------------------------------------------------------


def _find_models(firmware: Firmware) -> list[_Span]:
    spans = []
    for start, size, name in firmware.symbols:
        prefix = name.removesuffix("run")
        if not name.endswith("_run") or prefix == "_" or size == 0:
            continue
        if not any(other.startswith(prefix) and other != name for other in firmware.addresses):
            continue
        entries = {a: (n.removeprefix(prefix), True) for a, n in _inlined(firmware.path, name, prefix).items()}
        for at, _, other in firmware.symbols:
            if other.startswith(prefix) and other != name:
                entries[at] = (other.removeprefix(prefix), False)
        spans.append(_Span(name.removesuffix("_run"), start, start + size, entries))
    return spans


def _inlined(path: Path, function: str, prefix: str) -> dict[int, str]:
    """Where the functions ``<prefix>...`` that were inlined into ``function`` begin; nothing without debug data."""
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if not elf.has_dwarf_info():
                return {}
            return {
                address: name
                for unit in elf.get_dwarf_info().iter_CUs()
                for die in unit.get_top_DIE().iter_children()
                if die.tag == "DW_TAG_subprogram" and _name(die) == function
                for address, name in _inlined_in(die, prefix)
            }
    except (DWARFError, ELFError, KeyError, ValueError, AttributeError):
        return {}  # a debug format that the reader does not know


def _inlined_in(die: Any, prefix: str) -> list[tuple[int, str]]:
    found = []
    for child in die.iter_children():
        if child.tag == "DW_TAG_lexical_block":
            found += _inlined_in(child, prefix)
        elif child.tag == "DW_TAG_inlined_subroutine":
            name = _name(child.get_DIE_from_attribute("DW_AT_abstract_origin"))
            entry = child.attributes.get("DW_AT_entry_pc") or child.attributes.get("DW_AT_low_pc")
            if name.startswith(prefix) and entry is not None:
                found.append((entry.value, name))
    return found


def _name(die: Any) -> str:
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode("utf-8", "replace") if attribute is not None else ""
