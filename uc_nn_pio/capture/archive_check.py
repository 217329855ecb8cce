"""Finds what in a ``.pt2`` archive would run code when torch loads it, and refuses the file by naming it.

The list follows torch's deserializer (``torch/_export/serde/serialize.py``, ``torch/export/pt2_archive/_package.py``,
``torch/export/_unlift.py``): strings given to sympy (``expr_str``, keys of ``range_constraints``), strings executed as
guards (``guards_code``), operator names resolved attribute by attribute (``target``, ``as_operator``), type names that
pytree specs import, objects of classes of their own, and pickles.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uc_nn_pio.capture.expressions import BadExpressionError, parse
from uc_nn_pio.errors import Location, UcNnError, UnsafeFileError

# Arithmetic on symbolic sizes; besides it, calls are ATen's, those of quantized networks, or control flow and others'
# quantization that the mapping refuses by name.
_TARGET = re.compile(
    r"torch\.ops\.(aten|quantized_decomposed)\.[A-Za-z_]\w*\.[A-Za-z_]\w*"
    r"|torch\.ops\.torchao\.(quantize|dequantize|choose_qparams)_affine\.default"
    r"|torch\.ops\.higher_order\.[a-z]\w*"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|getitem|and_|or_)"
    r"|math\.(ceil|floor|trunc)|torch\.sym_(float|int|max|min|not|ite|sum)|torch\._check"
)
_OBJECTS = ("as_custom_obj", "custom_obj", "custom_obj_values")
_PYTREES = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_GUARD_METHODS = ("size", "dim", "numel", "stride", "storage_offset")
_GUARD_NODES = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.Not,
    ast.UnaryOp,
    ast.USub,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.FloorDiv,
    ast.Mod,
    ast.Compare,
    ast.cmpop,
    ast.Subscript,
    ast.Constant,
    ast.Load,
    ast.Tuple,
)


def _refuse(path: Path, member: str, what: str, why: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path.name} is refused: {what}",
        where=f"{Location(path)}, member {member}",
        why=why,
        next_step="export again with static shapes, from source that you trust: torch.export.save(torch.export.export("
        "model.eval(), (x,)), ...)",
    )


def check_json(document: Any, member: str, path: Path) -> None:
    """Refuse a JSON member that makes torch evaluate, import or resolve more than a network needs.

    Raises:
        UnsafeFileError: with the member and the string.
    """
    for key, value in _entries(document):
        if key == "expr_str":
            _check_expression(value, member, path)
        elif key in ("target", "as_operator"):
            _check_target(value, member, path)
        elif key in _OBJECTS and value:
            text = json.dumps(value)[:80]
            raise _refuse(
                path, member, f"it holds an object of a class of its own: {text}", "loading one runs its code"
            )
        elif key == "guards_code":
            for guard in value if isinstance(value, list) else [value]:
                _check_guard(guard, member, path)
        elif key in ("in_spec", "out_spec"):
            _check_pytree(value, member, path)
        elif key == "range_constraints" and isinstance(value, dict):
            for symbol in value:
                _check_expression(symbol, member, path)


def _entries(document: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of a JSON document, at whatever depth."""
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item.items()
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _check_expression(value: object, member: str, path: Path) -> None:
    try:
        parse(value)
    except BadExpressionError as error:
        raise _refuse(
            path,
            member,
            f"expression {_shown(value)} holds {error}",
            "torch evaluates such strings as code; integers, names and + - * // ( ) are all that a size needs",
        ) from None


def _check_target(value: object, member: str, path: Path) -> None:
    if not isinstance(value, str) or not _TARGET.fullmatch(value) or "__" in value:
        raise _refuse(
            path,
            member,
            f"operator {_shown(value)} is none of torch.ops.aten or torch.ops.quantized_decomposed",
            "torch looks such names up attribute by attribute, and could call any function",
        )


def _check_guard(value: object, member: str, path: Path) -> None:
    why = "torch runs guards as Python; comparisons of the input's sizes are all that they need"
    try:
        tree = ast.parse(value, mode="eval") if isinstance(value, str) and len(value) < 10_000 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None or not all(_harmless(node) for node in ast.walk(tree)):
        raise _refuse(path, member, f"guard {_shown(value)} is more than a comparison", why)


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "L"
    if isinstance(node, ast.Attribute):
        return node.attr in _GUARD_METHODS
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and not node.keywords
    return isinstance(node, _GUARD_NODES)


def _check_pytree(value: object, member: str, path: Path) -> None:
    why = "torch imports the types that a pytree names; tuples, lists and dicts are all that a network needs"
    try:
        tree = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        tree = None
    if tree is None:
        raise _refuse(path, member, f"pytree {_shown(value)} is no JSON", why)
    for key, kind in _entries(tree):
        if key == "type" and kind not in _PYTREES:
            raise _refuse(path, member, f"pytree type {_shown(kind)} is no plain container", why)


def check_pickles(members: Mapping[str, bytes], path: Path) -> None:
    """Refuse a pickled member that needs more than torch's ``weights_only`` unpickler.

    Raises:
        UnsafeFileError: with the member, and what it would call.
    """
    from uc_nn_pio.capture.weights import load_pickle

    for name in pickled_members(members, path):
        try:
            load_pickle(members[name], name, Location(path), "")
        except UcNnError as error:
            raise _refuse(path, name, f"pickle {name!r} does not load with weights_only=True", error.what) from None


def pickled_members(members: Mapping[str, bytes], path: Path) -> list[str]:
    """The members that torch would unpickle: ``*.pt``, and the payloads that a config marks with ``use_pickle``."""
    names = [name for name in members if name.startswith("data/") and name.endswith(".pt")]
    for config, data in members.items():
        if not re.fullmatch(r"data/(weights|constants)/[^/]+_config\.json", config):
            continue
        entries = json.loads(data).get("config", {})
        for meta in entries.values() if isinstance(entries, dict) else ():
            payload = f"{config.rpartition('/')[0]}/{meta.get('path_name')}" if isinstance(meta, dict) else config
            if payload not in members:
                raise _refuse(
                    path, config, f"it names the payload {_shown(payload)}, which is not there", "torch wrote none"
                )
            if meta.get("use_pickle"):
                names.append(payload)
    return names
