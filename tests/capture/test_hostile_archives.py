"""Archives that would run code when torch loads them: each is made from a real one, and each must be refused by name.

The canary is a file that the hostile content would create. That the content does work is shown with torch's own loader
where it can be done safely, in a process of its own.
"""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.capture.helpers import export_spec, save_export
from uc_nn_pio.capture import capture, load_model
from uc_nn_pio.errors import ModelError, UcNnError, UnsafeFileError

SHAPE = (1, 8, 9)


class Payload:
    """Unpickling it creates the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.canary), "w"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(84, 5))
    return save_export(network, SHAPE, tmp_path_factory.mktemp("good") / "net.pt2")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def rewrite(good: Path, path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of an archive with changed members, named as below its root folder."""
    with zipfile.ZipFile(good) as source:
        root = source.namelist()[0].partition("/")[0]
        members = {name.partition("/")[2]: source.read(name) for name in source.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as target:
        for name, data in members.items():
            target.writestr(f"{root}/{name}", data)
    return path


def edit_json(member: str, edit: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        document = json.loads(members[member])
        edit(document)
        members[member] = json.dumps(document).encode()

    return change


def edit_model(edit: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    return edit_json("models/model.json", edit)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def refused(path: Path, canary: Path, match: str) -> str:
    texts = []
    for load in (capture, load_model):
        with pytest.raises(UnsafeFileError, match=match) as caught:
            load(export_spec(path, SHAPE))
        texts.append(str(caught.value))
    assert not canary.exists()
    assert texts[0] == texts[1]
    assert path.name in texts[0]
    return texts[0]


def code(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w')"


def test_the_good_archive_is_taken(good: Path, tmp_path: Path) -> None:
    assert len(capture(export_spec(good, SHAPE)).graph.nodes) == 4
    copy = rewrite(good, tmp_path / "copy.pt2", lambda members: None)
    assert len(capture(export_spec(copy, SHAPE)).graph.nodes) == 4


def test_weights_in_one_pickle_are_taken(good: Path, tmp_path: Path) -> None:
    """Archives of torch 2.8 keep the state_dict and the constants in a torch.save each."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(84, 5))

    def change(members: dict[str, bytes]) -> None:
        for name in [name for name in members if name.startswith(("data/weights/", "data/constants/"))]:
            del members[name]
        members["data/weights/model.pt"] = saved(network.state_dict())
        members["data/constants/model.pt"] = saved({})

    path = rewrite(good, tmp_path / "x.pt2", change)
    image = torch.rand(2, *SHAPE)
    torch.testing.assert_close(load_model(export_spec(path, SHAPE))(image), network(image).detach())


def test_the_canary_does_sing_in_torchs_own_loader(good: Path, canary: Path, tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    path = tmp_path / "hostile.pt2"
    rewrite(good, path, edit_model(lambda document: _set_expression(document, code(canary))))
    script = f"import torch; torch.export.load({str(path)!r})"
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=120)
    assert canary.exists()


def _set_expression(document: Any, text: str) -> None:
    values = document["graph_module"]["graph"]["tensor_values"]
    values["relu"]["sizes"][0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 1}}}


EXPRESSIONS = [
    "open('{canary}', 'w')",
    "__import__('os').system('touch {canary}')",
    "(lambda: open('{canary}', 'w'))()",
    "s0.__class__.__mro__[1]",
    "Symbol('s0', positive=open('{canary}', 'w'))",
    "Symbol('s0'), open('{canary}', 'w')",
    "f(1)",
    "s0**99999999",
    "[x for x in (1,)]",
    "s0 if s0 else 1",
    "'a'",
    "1.5",
    "s0;s1",
    "s0:=1",
    "",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_are_integers_names_and_arithmetic(good: Path, canary: Path, tmp_path: Path, text: str) -> None:
    text = text.format(canary=canary)
    path = rewrite(good, tmp_path / "x.pt2", edit_model(lambda document: _set_expression(document, text)))
    message = refused(path, canary, "expression")
    assert "models/model.json" in message
    assert "static shapes" in message


@pytest.mark.parametrize("where", ["stride", "sym_int_values", "weight", "anywhere", "range_constraints"])
def test_expressions_are_found_wherever_they_lie(good: Path, canary: Path, tmp_path: Path, where: str) -> None:
    hostile = {"as_expr": {"expr_str": code(canary), "hint": None}}

    def edit(document: Any) -> None:
        if where == "weight":
            document["config"]["0.weight"]["tensor_meta"]["storage_offset"] = hostile
            return
        graph = document["graph_module"]["graph"]
        if where == "stride":
            graph["tensor_values"]["relu"]["strides"][1] = hostile
        elif where == "sym_int_values":
            graph["sym_int_values"]["s"] = hostile
        elif where == "anywhere":
            graph["nodes"][0]["inputs"].append({"name": "z", "arg": {"as_graph": {"name": "g", "graph": [hostile]}}})
        else:
            document["range_constraints"][code(canary)] = {"min_val": 1, "max_val": 2}

    member = "data/weights/model_weights_config.json" if where == "weight" else "models/model.json"
    path = rewrite(good, tmp_path / "x.pt2", edit_json(member, edit))
    assert member in refused(path, canary, "expression")


TARGETS = [
    "torch.hub.load",
    "torch._C._jit_get_operation",
    "torch.ops.aten.relu.default.__class__",
    "torch.ops.aten.__class__.default",
    "torch.ops.load_library",
    "torch.ops.other.evil.default",
    "torch.ops.quantized_decomposed.__class__.default",
    "torch.ops.quantized_decomposed.quantize_per_tensor.default.__class__",
    "torch.ops.quantized_decomposed.quantize_per_tensor",
    "torch.ops.quantized_decomposed_.quantize_per_tensor.default",
    "torch.ops.torchao.evil.default",
    "torch.ops.torchao.quantize_affine.__class__",
    "_operator.attrgetter",
    "math.os",
    "builtins.exec",
    "#namespace:op",
    "os.system",
    "",
]


@pytest.mark.parametrize("target", TARGETS)
def test_operators_are_atens(good: Path, canary: Path, tmp_path: Path, target: str) -> None:
    def edit(document: Any) -> None:
        document["graph_module"]["graph"]["nodes"][1]["target"] = target

    path = rewrite(good, tmp_path / "x.pt2", edit_model(edit))
    refused(path, canary, "operator")


def test_an_operator_of_aten_without_a_rule_is_named_and_never_called(good: Path, canary: Path, tmp_path: Path) -> None:
    """aten::from_file creates the file that it is given."""

    def edit(document: Any) -> None:
        node = document["graph_module"]["graph"]["nodes"][1]
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": str(canary)}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
            {"name": "size", "arg": {"as_int": 84}, "kind": 1},
        ]

    path = rewrite(good, tmp_path / "x.pt2", edit_model(edit))
    for load in (capture, load_model):
        with pytest.raises(ModelError, match="from_file"):
            load(export_spec(path, SHAPE))
    assert not canary.exists()


def test_a_quantization_without_a_rule_is_named_and_never_called(good: Path, canary: Path, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        document["graph_module"]["graph"]["nodes"][1]["target"] = "torch.ops.quantized_decomposed.evil.default"

    path = rewrite(good, tmp_path / "x.pt2", edit_model(edit))
    for load in (capture, load_model):
        with pytest.raises(ModelError, match="operator evil is not supported"):
            load(export_spec(path, SHAPE))


QUANTIZED = Path(__file__).parents[1] / "quantize" / "pt2e" / "static_channel.pt2"


def quantize_nodes(document: Any) -> list[Any]:
    nodes = document["graph_module"]["graph"]["nodes"]
    return [node for node in nodes if node["target"].endswith("quantize_per_tensor.default")]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("scale", {"as_float": 0.0}, "a scale of 0"),
        ("scale", {"as_float": -0.01}, "a scale of -0.01"),
        ("scale", {"as_float": float("nan")}, "nan for its scale"),
        ("scale", {"as_float": 1e300}, "a scale of 1e+300"),
        ("scale", {"as_string": "0.1"}, "0.1 for its scale"),
        ("zero_point", {"as_int": 128}, "a zero point of 128"),
        ("zero_point", {"as_int": 10**30}, "for its zero_point"),
        ("zero_point", {"as_float": 0.5}, "0.5 for its zero_point"),
        ("quant_min", {"as_int": -129}, "limits -129 and 127"),
        ("quant_max", {"as_int": -128}, "limits -128 and -128"),
        ("quant_max", {"as_bool": True}, "True for its quant_max"),
        ("dtype", {"as_int": 7}, "quantization to"),
    ],
)
def test_arguments_of_quantize_that_make_no_sense(tmp_path: Path, name: str, value: Any, says: str) -> None:
    def edit(document: Any) -> None:
        for node in quantize_nodes(document):
            for argument in node["inputs"]:
                if argument["name"] == name:
                    argument["arg"] = value

    path = rewrite(QUANTIZED, tmp_path / "x.pt2", edit_model(edit))
    for load in (capture, lambda spec: load_model(spec)(torch.zeros(1, 2, 10, 13))):
        with pytest.raises(ModelError) as caught:
            load(export_spec(path, (2, 10, 13)))
        assert says in str(caught.value)


def test_custom_objects_are_refused(good: Path, canary: Path, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        argument = {"as_custom_obj": {"name": "obj", "class_fqn": "__torch__.torch.classes.evil"}}
        document["graph_module"]["graph"]["nodes"][0]["inputs"].append({"name": "o", "arg": argument})

    refused(rewrite(good, tmp_path / "x.pt2", edit_model(edit)), canary, "class of its own")


@pytest.mark.parametrize("guard", ["open({canary!r}, 'w')", "L['x'].size().__class__", "(lambda: 1)() == 1", "x = 1"])
def test_guards_are_comparisons(good: Path, canary: Path, tmp_path: Path, guard: str) -> None:
    def edit(document: Any) -> None:
        document["guards_code"] = [guard.format(canary=str(canary))]

    refused(rewrite(good, tmp_path / "x.pt2", edit_model(edit)), canary, "guard")


def test_pytrees_are_plain_containers(good: Path, canary: Path, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        signature = document["graph_module"]["module_call_graph"][0]["signature"]
        signature["in_spec"] = signature["in_spec"].replace("builtins.tuple", "collections.defaultdict")

    refused(rewrite(good, tmp_path / "x.pt2", edit_model(edit)), canary, "defaultdict")


@pytest.mark.parametrize("member", ["data/sample_inputs/model.pt", "data/weights/model.pt", "data/constants/model.pt"])
@pytest.mark.parametrize("form", ["torch.save", "pickle"])
def test_pickled_members_load_with_weights_only(
    good: Path, canary: Path, tmp_path: Path, member: str, form: str
) -> None:
    payload = {"0.weight": Payload(canary)}
    data = saved(payload) if form == "torch.save" else pickle.dumps(payload)
    path = rewrite(good, tmp_path / "x.pt2", lambda members: members.update({member: data}))
    assert member in refused(path, canary, "weights_only")


def test_a_zip_bomb_inside_a_pickled_member_is_not_unpacked(good: Path, canary: Path, tmp_path: Path) -> None:
    inner = io.BytesIO(saved({"a": torch.zeros(1)}))
    with zipfile.ZipFile(inner, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for index in range(5):
            archive.writestr(f"archive/data/{index + 100}", bytes(1 << 26))
    member = "data/sample_inputs/model.pt"
    path = rewrite(good, tmp_path / "x.pt2", lambda members: members.update({member: inner.getvalue()}))
    assert "unpacks" in refused(path, canary, "sample_inputs")


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_payloads_marked_as_pickles_load_with_weights_only(good: Path, canary: Path, tmp_path: Path, kind: str) -> None:
    name = "weight_0" if kind == "weights" else "tensor_0"

    def change(members: dict[str, bytes]) -> None:
        config = f"data/{kind}/model_{kind}_config.json"
        document = json.loads(members[config])
        meta = {"path_name": name, "is_param": True, "use_pickle": True, "tensor_meta": None}
        document["config"]["0.weight"] = meta
        members[config] = json.dumps(document).encode()
        members[f"data/{kind}/{name}"] = saved(Payload(canary))

    path = rewrite(good, tmp_path / "x.pt2", change)
    assert f"data/{kind}/{name}" in refused(path, canary, "weights_only")


MEMBERS = {
    "data/constants/custom_obj_0": "object of a class of its own",
    "data/constants/opaque_obj_0": "object of a class of its own",
    "data/aotinductor/model/evil.so": "compiled code",
    "data/executorch/evil.pte": "none of those",
    "code/evil.py": "none of those",
    "constants.pkl": "none of those",
}


@pytest.mark.parametrize(("member", "reason"), MEMBERS.items(), ids=MEMBERS)
def test_unknown_members_are_refused(good: Path, canary: Path, tmp_path: Path, member: str, reason: str) -> None:
    data = pickle.dumps(Payload(canary))
    path = rewrite(good, tmp_path / "x.pt2", lambda members: members.update({member: data}))
    assert member in refused(path, canary, reason)


@pytest.mark.parametrize("name", ["/etc/canary", "../canary", "net/../../canary", "net\\..\\canary", "C:/canary"])
def test_names_that_leave_the_archive_are_refused(good: Path, canary: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.pt2"
    path.write_bytes(good.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    refused(path, canary, "outside")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(good: Path, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    path.write_bytes(good.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/models/model.json", b"{}")
    refused(path, canary, "twice")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(good: Path, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    path.write_bytes(good.read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        block = bytes(1 << 26)
        for index in range(5):
            archive.writestr(f"net/data/weights/weight_{index + 100}", block)
    assert path.stat().st_size < 10_000_000
    refused(path, canary, "unpacks")


def test_weights_beyond_their_bytes_are_refused(good: Path, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        document["config"]["0.weight"]["tensor_meta"]["storage_offset"] = {"as_int": 1 << 20}

    path = rewrite(good, tmp_path / "x.pt2", edit_json("data/weights/model_weights_config.json", edit))
    with pytest.raises(ModelError, match="damaged"):
        capture(export_spec(path, SHAPE))


def test_shapes_that_the_layers_do_not_give_are_refused(good: Path, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        document["graph_module"]["graph"]["tensor_values"]["relu"]["sizes"][2] = {"as_int": 99}

    path = rewrite(good, tmp_path / "x.pt2", edit_model(edit))
    with pytest.raises(ModelError, match="contradicts itself"):
        capture(export_spec(path, SHAPE))


BROKEN: dict[str, Callable[[dict[str, bytes]], None]] = {
    "no model": lambda members: members.pop("models/model.json") and None,
    "model no JSON": lambda members: members.update({"models/model.json": b"{"}),
    "model a list": lambda members: members.update({"models/model.json": b"[]"}),
    "deep JSON": lambda members: members.update({"models/model.json": b"[" * 100_000 + b"]" * 100_000}),
    "two models": lambda members: members.update({"models/other.json": members["models/model.json"]}),
    "no weights": lambda members: members.pop("data/weights/weight_0") and None,
    "weights cut": lambda members: members.update({"data/weights/weight_0": b"abc"}),
    "format": lambda members: members.update({"archive_format": b"pt3"}),
    "byte order": lambda members: members.update({"byteorder": b"big"}),
    "schema": edit_model(lambda document: document["schema_version"].update(major=99)),
    "no graph": edit_model(lambda document: document.pop("graph_module")),
    "graph empty": edit_model(lambda document: document["graph_module"].update(graph={})),
    "unknown argument": edit_model(
        lambda document: document["graph_module"]["graph"]["nodes"][1]["inputs"].append({"name": "x", "arg": {}})
    ),
    "value that no call makes": edit_model(
        lambda document: document["graph_module"]["graph"]["nodes"][1]["inputs"][0]["arg"]["as_tensor"].update(name="z")
    ),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_is_a_clear_error(
    good: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    path = rewrite(good, tmp_path / "x.pt2", change)
    with pytest.raises(UcNnError) as caught:
        capture(export_spec(path, SHAPE))
    assert "x.pt2" in str(caught.value)


def test_every_cut_of_an_archive_is_a_clear_error(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    for length in range(0, len(data), len(data) // 17):
        path = tmp_path / "cut.pt2"
        path.write_bytes(data[:length])
        with pytest.raises(UcNnError):
            capture(export_spec(path, SHAPE))


def test_flipped_bytes_never_escape_as_another_exception(good: Path, tmp_path: Path) -> None:
    data = bytearray(good.read_bytes())
    generator = torch.Generator().manual_seed(3)
    for position in torch.randint(len(data), (60,), generator=generator).tolist():
        changed = bytearray(data)
        changed[position] ^= 0x41
        path = tmp_path / "flip.pt2"
        path.write_bytes(changed)
        try:
            graph = capture(export_spec(path, SHAPE)).graph
        except UcNnError:
            continue
        assert [node.op.kind for node in graph.nodes] == ["conv2d", "activation", "reshape", "linear"]
