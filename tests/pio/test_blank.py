"""`uc-nn new --blank`: a project around a file that a user holds in hand. What it does not say is asked for by name."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.firmware.build import build_firmware
from tests.modules import load_module
from tests.pio.conftest import ROOT, Project, on_a_terminal, pio_environment
from uc_nn_pio import cli
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.pio.platform.builder import uc_nn_upload
from uc_nn_pio.pio.update import update
from uc_nn_pio.reference import integer
from uc_nn_pio.spec import load_spec

LISTED = {"new FOLDER --blank net.pt2"}
"""In the table of verbs."""
NETWORKS = '''
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.fc = nn.Linear(6 * 3 * 4, 5)

    def forward(self, x):
        return self.fc(torch.max_pool2d(torch.relu(self.conv(x)), 2).flatten(1))


class Fork(nn.Module):
    """Two inputs, one of whole numbers, and two outputs."""

    def __init__(self, speeds=3):
        super().__init__()
        self.words = nn.Embedding(11, 4)
        self.speed = nn.Linear(speeds, 4)
        self.steer, self.sure = nn.Linear(20, 3), nn.Linear(20, 40)

    def forward(self, words, Speed):
        y = torch.cat([self.words(words).flatten(1), torch.relu(self.speed(Speed))], 1)
        return self.steer(y), self.sure(y)


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's with a network in every form, as the working folder."""
    folder = tmp_path / "meine Netze"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "nets.py").write_text(NETWORKS)
    nets = load_module(folder / "nets.py")
    torch.manual_seed(4)
    net, fork = nets.Net().eval(), nets.Fork().eval()
    torch.save(net.state_dict(), "weights.pt")
    save_file(net.state_dict(), "weights.safetensors")
    torch.save(fork.state_dict(), "fork.pt")
    picture = torch.zeros(1, 2, 9, 10)
    torch.export.save(torch.export.export(net, (picture,)), "my-net.pt2")
    words, speed = torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, 3)
    torch.export.save(torch.export.export(fork, (words, speed)), "fork.pt2")
    return folder


def new(capsys: pytest.CaptureFixture[str], dest: str, *arguments: str) -> tuple[int, str]:
    """`uc-nn new` in the working folder: the exit code, and what it says on stderr."""
    code = cli.main(["new", dest, *arguments])
    return code, capsys.readouterr().err


def pattern(shape: tuple[int, ...]) -> np.ndarray:
    """The input that the program has while the user gives it none, in torch's order."""
    flat = (np.arange(np.prod(shape)) % 7 / 8).astype(np.float32)
    if len(shape) < 3:
        return flat.reshape(1, *shape)
    return flat.reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1)[None].copy()


def net_of(folder: Path) -> nn.Module:
    net = load_module(folder / "nets.py").Net().eval()
    net.load_state_dict(torch.load(folder / "weights.pt"))
    return net


def printed(text: str) -> list[float]:
    """The scores of a PREDICTION line."""
    (line, *_) = re.findall(r"PREDICTION: .*scores(.*)", text)
    return [float(score.rsplit(":", 1)[1]) for score in line.split()]


# What the file says, and what it does not ---------------------------------------------------------------------------


def test_an_export_says_everything(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = new(capsys, "p", "--blank", "my-net.pt2")
    assert code == 0 and said == "note: the model is called my_net: 'my-net' cannot be a name in its C\n"
    spec = load_spec(Path("p/models/my_net.yaml"))
    assert (spec.name, spec.input.shape, spec.precision) == ("my_net", (2, 9, 10), "float32")
    assert Path("p/models/my-net.pt2").read_bytes() == Path("my-net.pt2").read_bytes()
    names = {path.relative_to("p").as_posix() for path in Path("p").rglob("*") if path.is_file()}
    assert names > {"platformio.ini", "uc_nn.py", "README.md", ".gitignore", ".gitattributes", ".vscode/settings.json"}
    assert names > {"src/main.c", "lib/fe310/fe310_start.S", "monitor/filter_uc_nn.py"} and "lib/ov2640" not in names
    assert "of the 5 outputs" in Path("p/models/my_net.yaml").read_text()


def test_an_export_of_several_inputs_says_their_names_tokens_and_outputs(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = new(capsys, "p", "--blank", "fork.pt2")
    assert code == 0 and said == ""
    spec = load_spec(Path("p/models/fork.yaml"))
    assert [(each.name, each.shape, each.tokens) for each in spec.inputs] == [
        ("words", (4,), 11),
        ("speed", (3,), None),
    ]
    assert spec.output.names == ("y0", "y1")


def test_an_export_with_an_open_size_asks_for_it(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("time", min=8, max=999)}
    made = torch.export.export(nn.Softmax(1).eval(), (torch.zeros(2, 50),), dynamic_shapes=[sizes])
    torch.export.save(made, "open.pt2")
    code, said = new(capsys, "p", "--blank", "open.pt2")
    assert code == 2 and "does not say the shape of its input" in said and "--input 10, say" in said
    code, said = new(capsys, "p", "--blank", "open.pt2", "--input", "3x50")
    assert code == 2 and "3x50 cannot be the shape" in said and not Path("p").exists()
    assert new(capsys, "p", "--blank", "open.pt2", "--input", "40")[0] == 0
    assert load_spec(Path("p/models/open.yaml")).input.shape == (40,)


def test_python_asks_for_all_at_once_and_says_that_it_runs(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = new(capsys, "p", "--blank", "nets.py:Net")
    assert code == 2 and "note: nets.py is your own code, and it is run" in said
    assert "next: --weights nets.pt" in said and "next: --input 2x28x28, say" in said and not Path("p").exists()
    arguments = ("--blank", "nets.py:Net", "--weights", "weights.pt", "--input", "2x9x10")
    assert new(capsys, "p", *arguments)[0] == 0
    spec = load_spec(Path("p/models/nets.yaml"))
    assert spec.model.python.attribute == "Net" and spec.model.weights.name == "weights.pt"


def test_the_one_class_of_a_python_file_is_taken(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = new(capsys, "p", "--blank", "nets.py", "--weights", "weights.pt", "--input", "2x9x10")
    assert code == 2 and "defines 2 networks: Net, Fork" in said and "--blank nets.py:Fork, say" in said
    one = Path("nets.py").read_text().replace("speeds=3", "speeds")
    Path("nets.py").write_text(one)
    assert new(capsys, "p", "--blank", "nets.py", "--weights", "weights.pt", "--input", "2x9x10")[0] == 0
    assert load_spec(Path("p/models/nets.yaml")).model.python.attribute == "Net"
    Path("none.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, size):\n        pass\n"
    )
    code, said = new(capsys, "q", "--blank", "none.py", "--weights", "weights.pt", "--input", "1")
    assert code == 2 and "Net needs arguments" in said and "none.py:my_network" in said


def test_inputs_of_python_by_name_or_in_order(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fork = ("--blank", "nets.py:Fork", "--weights", "fork.pt", "--tokens", "words=11")
    assert new(capsys, "p", *fork, "--input", "speed=3", "--input", "4")[0] == 0
    shapes = {each.name: (each.shape, each.tokens) for each in load_spec(Path("p/models/nets.yaml")).inputs}
    assert shapes == {"words": ((4,), 11), "speed": ((3,), None)}
    code, said = new(capsys, "q", *fork, "--input", "4", "--input", "sped=3")
    assert code == 2 and "'sped=3' is for no input" in said and "2 inputs: words, speed" in said
    assert "does not say the shape of its input speed" in said and not Path("q").exists()


def test_what_python_imports_comes_along(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "parts").mkdir()
    (mine / "parts" / "conv.py").write_text(
        "from torch import nn\nSIZE = 3\n\n\ndef conv():\n    return nn.Conv2d(2, 6, SIZE)\n"
    )
    (mine / "unused.py").write_text("raise SystemExit\n")
    text = NETWORKS.replace("nn.Conv2d(2, 6, 3)", "conv()").replace(
        "import torch\n", "import torch\nfrom parts.conv import conv\n", 1
    )
    (mine / "nets.py").write_text(text)
    arguments = ("--blank", "nets.py:Net", "--weights", "weights.pt", "--input", "2x9x10")
    assert new(capsys, "p", *arguments)[0] == 0
    models = {path.relative_to("p/models").as_posix() for path in Path("p/models").rglob("*") if path.is_file()}
    assert models == {"nets.yaml", "nets.py", "parts/conv.py", "weights.pt"}
    (mine / "nets.py").write_text(text.replace("super().__init__()", "super().__init__()\n        open('a.txt')"))
    (mine / "a.txt").write_text("a")
    code, said = new(capsys, "q", *arguments)
    assert code == 2 and "cannot be made from copies" in said and "a.txt" in said and not Path("q").exists()


@pytest.mark.parametrize("file", ["weights.pt", "weights.safetensors"])
def test_weights_alone_leave_places_to_fill_in(file: str, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = new(capsys, "p", "--blank", file)
    assert code == 2 and "does not say the shape of its input x (2 x ? x ?)" in said and "--input 2x28x28" in said
    code, said = new(capsys, "p", "--blank", file, "--input", "2x9x10")
    assert code == 0 and "do not say 3 things" in said and "models/weights.yaml" in said
    spec = Path("p/models/weights.yaml")
    with pytest.raises(UcNnError, match=r"still to be filled in|3 errors"):
        load_spec(spec)
    text = spec.read_text().replace("stride: FILL_IN, padding: FILL_IN", "stride: 1, padding: 0")
    spec.write_text(re.sub("    - FILL_IN.*", "    - ReLU\n    - MaxPool2d: {kernel_size: 2}", text))
    assert convert(spec).design.graph.tensor("fc").elements == 5
    assert update(Path("p"), write=False) == ([], [])


@pytest.mark.parametrize(
    ("file", "message", "next_step"),
    [
        ("nothing.pt2", "there is no file 'nothing.pt2'", "name a .pt2 file"),
        (".", "'.' is a folder", "name a .pt2 file"),
        ("notes.txt", "notes.txt is a text file", "torch.export.save"),
        ("net.onnx", "net.onnx is an ONNX model", "torch.export.save"),
        ("evil.pt2", "evil.pt2 is refused", "export again"),
        ("my-net.pt2:Net", "there is no file", "name a .pt2 file"),
        ("raises.py", "importing raises.py failed: ValueError: no", "mend it there"),
    ],
)
def test_files_that_are_no_network(
    file: str, message: str, next_step: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import zipfile

    Path("notes.txt").write_text("a network")
    Path("net.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    Path("raises.py").write_text("raise ValueError('no')\n")
    with zipfile.ZipFile("my-net.pt2") as good, zipfile.ZipFile("evil.pt2", "w") as evil:
        for name in good.namelist():
            data = good.read(name)
            evil.writestr(
                name, data.replace(b"torch.ops.aten.relu.default", b"os.system") if name.endswith(".json") else data
            )
    code, said = new(capsys, "p", "--blank", file)
    assert code == 2 and message in said and next_step in said
    assert not Path("p").exists() and not list(mine.glob(".uc_nn*"))


def test_what_goes_with_what(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str) -> str:
        code, said = new(capsys, "p", *arguments)
        assert code == 2 and "Traceback" not in said and "next:" in said and not Path("p").exists()
        return said

    assert "--blank and --example were given" in refused("--blank", "my-net.pt2", "--example", "lenet5_camera")
    assert "--blank and --spec were given" in refused("--blank", "my-net.pt2", "--spec", "x.yaml")
    assert "--input goes with --blank" in refused("--input", "1x2x3")
    assert "holds its weights" in refused("--blank", "my-net.pt2", "--weights", "weights.pt")
    assert "'28,28' is wrong" in refused("--blank", "my-net.pt2", "--input", "28,28")
    python = ("--blank", "nets.py:Net", "--weights", "weights.pt")
    assert "next: --input 2x9x10" in refused(*python, "--input", "1x2x9x10")
    assert "--scale 1/255 does not go here" in refused("--blank", "my-net.pt2", "--scale", "1/255")
    assert "is not known" in refused("--blank", "my-net.pt2", "--board", "hifive2")
    assert "the weights in fork.pt do not match" in refused(
        "--blank", "nets.py:Net", "--weights", "fork.pt", "--input", "2x9x10"
    )
    (mine / "full").mkdir()
    (mine / "full" / "mine.txt").write_text("mine")
    assert new(capsys, "full", "--blank", "my-net.pt2")[0] == 2
    assert [path.name for path in (mine / "full").iterdir()] == ["mine.txt"]


def test_a_network_over_the_board_s_ram_leaves_no_folder(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    big = nn.Sequential(nn.Linear(4000, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    torch.export.save(torch.export.export(big, (torch.zeros(1, 4000),)), "big.pt2")
    code, said = new(capsys, "p", "--blank", "big.pt2")
    assert code == 2 and "B of RAM, the budget is 12288 B" in said and not Path("p").exists()
    (mine / "there").mkdir()
    assert new(capsys, "there", "--blank", "big.pt2")[0] == 2 and not list((mine / "there").iterdir())
    assert new(capsys, "there", "--blank", "big.pt2", "--board", "mps2_an386")[0] == 0


@pytest.mark.parametrize(
    ("stem", "name"),
    [("1st net", "net_1st_net"), ("double", "double_net"), ("fe310_uart", "fe310_uart_net"), ("数", "network")],
)
def test_names(stem: str, name: str, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my-net.pt2").rename(f"{stem}.pt2")
    code, said = new(capsys, "p", "--blank", f"{stem}.pt2")
    assert code == 0 and f"the model is called {name}" in said and Path(f"p/models/{name}.yaml").is_file()


def test_calibration_data_make_int8(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(1).integers(0, 256, (8, 2, 9, 10), np.uint8)
    np.savez("bytes.npz", images=images)
    np.savez("floats.npz", x=images / np.float32(255))
    code, said = new(capsys, "p", "--blank", "my-net.pt2", "--calibration", "bytes.npz")
    assert code == 2 and "next: --scale 1/255" in said and not Path("p").exists()
    assert new(capsys, "p", "--blank", "my-net.pt2", "--calibration", "bytes.npz", "--scale", "1/255")[0] == 0
    assert new(capsys, "q", "--blank", "my-net.pt2", "--calibration", "floats.npz")[0] == 0
    first, second = (convert(Path(f"{name}/models/my_net.yaml")) for name in "pq")
    assert first.design.precision == second.design.precision == "int8"
    scales = [[tensor.quant for tensor in made.design.graph.tensors.values()] for made in (first, second)]
    assert scales[0] == scales[1]  # the same numbers by either way
    code, said = new(capsys, "r", "--blank", "my-net.pt2", "--calibration", "nets.py")
    assert code == 2 and "cannot read calibration data from nets.py" in said


def test_what_pytorch_has_quantized_is_int8(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quantized = ROOT / "tests" / "quantize" / "pt2e" / "static_tensor.pt2"
    assert new(capsys, "p", "--blank", str(quantized)) == (0, "")
    spec = Path("p/models/static_tensor.yaml")
    assert load_spec(spec).precision == "int8" and convert(spec).design.precision == "int8"


def test_update_knows_such_a_project(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new(capsys, "p", "--blank", "fork.pt2")
    assert json.loads(Path("p/.uc_nn.json").read_text())["kind"] == "blank"
    assert update(Path("p"), write=True) == ([], [])
    spec = Path("p/models/fork.yaml")
    spec.write_text(spec.read_text().replace("[y0, y1]", "[steer, sure]"))
    newer, edited = update(Path("p"), write=True)
    assert {each.name for each in newer} == {"src/main.c", "README.md"} and not edited
    assert "fork_output_sure(" in Path("p/src/main.c").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/platformio.md"])
def test_the_command_of_the_documentation(page: str, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = set(re.findall(r"uc-nn (new \w+ --blank [\w.]+)", (ROOT / page).read_text(encoding="utf-8"))) - LISTED
    Path("my-net.pt2").rename("net.pt2")
    assert cli.main(command.split()) == 0, capsys.readouterr().err
    assert load_spec(Path("mynet/models/net.yaml")).name == "net"


# The program --------------------------------------------------------------------------------------------------------


def write_samples(path: Path) -> None:
    """Of the network with two inputs, as it takes them."""
    rng = np.random.default_rng(2)
    speed = np.concatenate([pattern((3,)), rng.uniform(-1, 1, (8, 3))])
    np.savez(path, words=rng.integers(0, 11, (9, 4)), speed=speed)


@pytest.mark.parametrize(
    ("file", "change", "marks"),
    [
        ("my-net.pt2", "", ""),
        ("my-net.pt2", "memory: {schedule: streamed}\n", "STREAMED"),
        ("my-net.pt2", "output: {labels: [a, b, c, d, e]}\n", "my_net_label"),
        ("fork.pt2", "", "SIZE_OF_WORDS"),
        ("fork.pt2", "precision: int8\ncalibration: {file: c.npz}\n", "SCALE_OF_SPEED"),
    ],
)
def test_the_program_builds_without_warnings(
    file: str, change: str, marks: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Strictly, and with what the user may later say in the spec."""
    new(capsys, "p", "--blank", file)
    (spec,) = Path("p/models").glob("*.yaml")
    write_samples(spec.parent / "c.npz")
    text = spec.read_text()
    spec.write_text(text.replace("precision: float32\n", change) if "int8" in change else text + change)
    update(Path("p"), write=True)
    made = convert(spec, load_board("hifive1"))
    generated = mine / "generated"
    generated.mkdir()
    for name, text in made.files.items():
        (generated / name).write_text(text)
    assert not marks or marks in (generated / f"{made.name}.h").read_text()
    assert build_firmware(mine / "build", main=mine / "p" / "src" / "main.c", model=generated).is_file()


def project_in(folder: Path, core: Path) -> Project:
    return Project(folder, core, folder / "unused.log", pio_environment(core, sys.executable))


@pytest.mark.pio
def test_it_runs_at_once_and_goes_on_as_the_tutorial_says(
    mine: Path, core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the virtual board, against torch; then with test data: validate, and `pio test` after `uc-nn update`."""
    new(capsys, "p", "--blank", "my-net.pt2")
    project = project_in(mine / "p", core)
    try:
        whole = r"cycles: \d+\s"
        shown, code = on_a_terminal(project, "run", "-t", "upload", "-t", "monitor", until=whole, timeout=120)
        assert code == 0, shown
        with torch.no_grad():
            wanted = net_of(mine)(torch.from_numpy(pattern((2, 9, 10))))[0].numpy()
        assert np.allclose(printed(shown), wanted, atol=0.006) and f"PREDICTION: {wanted.argmax()} " in shown
        assert int(re.search(r"cycles: (\d+)", shown)[1]) > 100_000

        rng = np.random.default_rng(3)
        images = rng.integers(0, 3, (20, 2, 9, 10), np.uint8)
        with torch.no_grad():
            labels = net_of(mine)(torch.from_numpy(images).float()).argmax(1).numpy()
        np.savez(mine / "p" / "models" / "test.npz", images=images, labels=labels)
        spec = mine / "p" / "models" / "my_net.yaml"
        spec.write_text(spec.read_text() + "validate: {file: test.npz, stage: network, min_accuracy: 1}\n")
        assert cli.main(["validate", str(spec)]) == 0
        newer, edited = update(mine / "p", write=True)
        assert "test/test_network/test_network.c" in {each.name for each in newer} and not edited
        tested = project.pio("test")
        assert tested.returncode == 0 and "3 test cases: 3 succeeded" in tested.stdout + tested.stderr
    finally:
        uc_nn_upload.stop_virtual(str(mine / "p" / ".pio" / "uc_nn" / "virtual" / "virtual"))


@pytest.mark.pio
@pytest.mark.parametrize("board", ["mps2_an386", "qemu_riscv32"])
def test_it_runs_at_once_in_qemu(board: str, mine: Path, core: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several inputs and outputs here: in float32 what PyTorch computes, in int8 what the integer reference does."""
    write_samples(mine / "samples.npz")
    int8 = board == "qemu_riscv32"
    more = ("--calibration", "samples.npz") if int8 else ()
    assert new(capsys, "p", "--blank", "fork.pt2", "--board", board, *more)[0] == 0
    done = project_in(mine / "p", core).pio("run", "-t", "upload")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"fork: {'int8' if int8 else 'float32'}," in done.stdout
    wanted = integers_of_fork(mine / "p", board) if int8 else floats_of_fork(mine)
    assert np.allclose(printed(done.stdout), wanted[0], atol=0.006), done.stdout
    others = re.search(r"output y1: (.*) \.\.\.", done.stdout)[1].split()
    assert np.allclose([float(each) for each in others], wanted[1][:32], atol=0.006)
    assert "cycles" not in done.stdout


def floats_of_fork(folder: Path) -> list[np.ndarray]:
    fork = load_module(folder / "nets.py").Fork().eval()
    fork.load_state_dict(torch.load(folder / "fork.pt"))
    with torch.no_grad():
        return [each[0].numpy() for each in fork(torch.arange(4)[None], torch.from_numpy(pattern((3,))))]


def integers_of_fork(project: Path, board: str) -> list[np.ndarray]:
    graph = convert(project / "models" / "fork.yaml", load_board(board)).design.graph
    given = {"words": np.arange(4), "speed": pattern((3,))[0]}
    inputs = {}
    for name, numbers in given.items():
        quant = graph.tensor(name).quant
        inputs[name] = np.clip(np.round(numbers / quant.scale) + quant.zero_point, -128, 127).astype(np.int8)[None]
    made = integer.outputs_batch(graph, inputs)
    quants = {name: graph.tensor(name).quant for name in made}
    return [(made[name][0].astype(int) - quant.zero_point) * quant.scale for name, quant in quants.items()]
