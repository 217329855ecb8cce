"""Specs that are right and specs that are wrong, for the loader and the JSON schema alike."""

from __future__ import annotations

from dataclasses import dataclass

from tests.spec.conftest import BASE

_LAYERS = """\
  layers:
    - Conv2d: {out_channels: 4, kernel_size: [3, 5], stride: 2, padding: same, bias: false, name: first}
    - BatchNorm2d
    - LeakyReLU: {negative_slope: 0.2}
    - MaxPool2d: {kernel_size: 2, stride: null, ceil_mode: true}
    - AdaptiveAvgPool2d: {output_size: [2, null]}
    - Dropout: {p: 0.25}
    - Flatten: {start_dim: 1, end_dim: -1}
    - Linear: {out_features: 10}
    - Unflatten: {dim: 1, unflattened_size: [5, 2]}
    - Softmax: {dim: 1}
    - ReLU:
"""


def edit(old: str, new: str) -> str:
    assert BASE.count(old) == 1, old
    return BASE.replace(old, new)


_PYTHON = "  python: net.py:Net\n"
_SOURCE = f"{_PYTHON}  weights: net.pt\n"

GOOD = {
    "base": BASE,
    "least": "spec: 1\nname: a\nmodel: {export: net.pt2}\ninput: {shape: [7]}\n",
    "layers": edit(_PYTHON, _LAYERS),
    "arguments": edit("net.py:Net", "net.py:Net\n  arguments: {classes: 3, deep: [1, {x: .inf}], flag: yes, nil: ~}"),
    "normalize": edit(
        "scale: 1/255", "invert: true, threshold: 0, scale: 0.5, mean: [0, .5, -1e-3], std: [1, 1/3, -2.]"
    ),
    "spaces in a fraction": edit("1/255", "1 / 255"),
    "source": edit("shape: [3, 8, 9]", "shape: [3, 8, 9]\n  source: arducam_ov2640"),
    "memory": BASE + "memory: {schedule: pingpong, ram_budget: 6K, firmware_reserve: 0, ram_weights: none}\n",
    "least memory": BASE + "memory: {schedule: streamed, ram_budget: least}\n",
    "sizes": BASE + "memory: {schedule: auto, ram_budget: 6144, firmware_reserve: 1M}\n",
    "weights in RAM": BASE + "memory: {ram_weights: auto}\n",
    "weights in RAM, bytes": BASE + "memory: {ram_weights: 2K}\n",
    "validate": edit("stage: network", "stage: camera, samples: 10, min_accuracy: 1"),
    "accuracy": edit("stage: network", "stage: camera, min_accuracy: 0.985"),
    "precision": BASE + "precision: float32\n",
    "int8": BASE + "precision: int8\ncalibration: {file: cal.npz, stage: network}\n",
    "int8, every key": BASE
    + "precision: int8\ncalibration: {file: cal.npz, stage: camera, samples: 200, "
    + "method: percentile, percentile: 99.9, linear: per_channel}\n",
    "int8, ranges": BASE + "precision: int8\ncalibration: {ranges: ranges.json, linear: per_tensor}\n",
    "int8 of an export": edit(_SOURCE, "  export: net.pt2\n") + "precision: int8\n",
    "calibration for later": BASE + "calibration: {file: cal.npz, stage: network, method: mse}\n",
    "labels": edit('["a", "b"]', r'["*/ #include", "\"", "\n", "\e[31m", "ä", a, "007", "\U0001F600"]'),
    "alias": edit('["a", "b"]', "&l [a, b]") + "memory: {ram_budget: 6K}\n",
    "alias used": edit("1/255", "1/255, mean: &three [1, 2, 3], std: *three"),
}


@dataclass(frozen=True)
class Wrong:
    """A wrong spec: where the loader points to, words of its message, and whether the schema can know."""

    text: str
    line: int | None
    column: int | None
    says: tuple[str, ...]
    schema: bool = True


def _wrong(old: str, new: str, line: int | None, column: int | None, *says: str, schema: bool = True) -> Wrong:
    return Wrong(edit(old, new), line, column, says, schema)


def _more(text: str, column: int, *says: str, schema: bool = True) -> Wrong:
    return Wrong(f"{BASE}{text}\n", 11, column, says, schema)


def _layer(text: str, column: int, *says: str, schema: bool = True) -> Wrong:
    return _wrong(_PYTHON, f"  layers:\n  - {text}\n", 5, column, *says, schema=schema)


WRONG = {
    # keys
    "unknown key": _more("precison: float32", 1, "unknown key precison", "did you mean 'precision'?"),
    "unknown inner key": _wrong("{scale", "{scal", 8, 16, "unknown key input.preprocess.scal", "'scale'"),
    "key in another section": _wrong("shape:", "threshold: 3\n  shape:", 7, 3, "belongs at input.preprocess.threshold"),
    "key like nothing": _more("qqqq: 1", 1, "unknown key qqqq", "known keys here: spec, name"),
    "key twice": _more("name: b", 1, "'name' is given twice", "line 2", schema=False),
    "inner key twice": _wrong("scale: 1/255", "scale: 1, scale: 2", 8, 26, "given twice", schema=False),
    "number as key": _more("1: 2", 1, "a key must be text", schema=False),
    "merge key": _more("<<: {}", 1, "merge keys", schema=False),
    "no spec": _wrong("spec: 1\n", "", 1, 1, "the key spec is missing"),
    "no name": _wrong("name: small\n", "", 1, 1, "the key name is missing"),
    "no shape": _wrong("  shape: [3, 8, 9]\n", "", 5 + 1, 1, "the key input.shape is missing"),
    "no stage": _wrong(", stage: network", "", 10, 1, "the key validate.stage is missing"),
    "no file": _wrong("file: test.npz, ", "", 10, 1, "the key validate.file is missing"),
    "version 2": _wrong("spec: 1", "spec: 2", 1, 1, "spec must be 1", "newer uc_nn_pio"),
    "version as text": _wrong("spec: 1", 'spec: "1"', 1, 1, "spec must be 1", "write spec: 1"),
    "root a list": Wrong("- spec: 1\n", 1, 1, ("the spec must be a mapping, not a list",)),
    "root a text": Wrong("hello\n", 1, 1, ("the spec must be a mapping, not the text 'hello'",)),
    # types
    "section a text": _more("memory: auto", 1, "memory must be a mapping, not the text 'auto'"),
    "section empty": _more("memory:", 1, "memory must be a mapping, not nothing"),
    "name a number": _wrong("name: small", "name: 5", 2, 1, "name must be a C identifier, not the number 5"),
    "switch a text": _wrong(
        "scale: 1/255", 'invert: "true"', 8, 16, "invert must be true or false, not the text 'true'"
    ),
    "file a list": _wrong("net.pt\n", "[net.pt]\n", 5, 3, "model.weights must be the path of a file, not a list"),
    "tag": _wrong("net.pt\n", "!!python/object:os.system x\n", 5, 3, "tag", "python/object", schema=False),
    "date as label": _wrong('["a", "b"]', "[2024-01-01]", 9, 19, "the date 2024-01-01", '["2024-01-01"]', schema=False),
    # names
    "name with dash": _wrong("small", "le-net", 2, 1, "'le-net' cannot be a model's name", "not '-'", "name: le_net"),
    "name with digit": _wrong("small", "5net", 2, 1, "begins with a letter"),
    "name in C comment": _wrong("small", '"*/ #include"', 2, 1, "begins with a letter"),
    "name with newline": _wrong("small", r'"net\nx"', 2, 1, "letters, digits and '_' only"),
    "name with umlaut": _wrong("small", "größe", 2, 1, "letters, digits and '_' only"),
    "name empty": _wrong("small", '""', 2, 1, "it is empty"),
    "name keyword": _wrong("small", "int", 2, 1, "keyword of C or C++", "name: int_net"),
    "name C++ keyword": _wrong("small", "class", 2, 1, "keyword of C or C++"),
    "name underscore": _wrong("small", "_net", 2, 1, "leading '_'"),
    "name two underscores": _wrong("small", "a__b", 2, 1, "'__'"),
    "name ours": _wrong("small", "uc_nn_board", 2, 1, "the converter's own"),
    "name of header": _wrong("small", "Math", 2, 1, "header math.h"),
    "name of device": _wrong("small", "AUX", 2, 1, "Windows"),
    "name long": _wrong("small", "n" * 49, 2, 1, "49 characters"),
    # model
    "no network": _wrong(_SOURCE, "  weights: net.pt\n", 3, 1, "none of python, layers and export"),
    "two networks": _wrong("  weights", "  export: net.pt2\n  weights", 5, 3, "python and export", "exactly one"),
    "no weights": _wrong("  weights: net.pt\n", "", 3, 1, "model.weights is missing", "state_dict"),
    "weights with export": _wrong(_PYTHON, "  export: net.pt2\n", 5, 3, "does not go with model.export"),
    "arguments with export": _wrong(_SOURCE, "  export: net.pt2\n  arguments: {}\n", 5, 3, "with model.python only"),
    "argument no name": _wrong("net.py:Net", "net.py:Net\n  arguments: {a-b: 1}", 5, 15, "'a-b'", schema=False),
    "python without name": _wrong("net.py:Net", "net.py", 4, 3, "file.py:Name", "net.py:Name"),
    "python a module": _wrong("net.py:Net", "net:Net", 4, 3, "file.py:Name"),
    "python no identifier": _wrong("net.py:Net", "net.py:Net()", 4, 3, "'Net()' is no Python name", schema=False),
    "python missing": _wrong(
        "net.py:Net", "nat.py:Net", 4, 3, "no file 'nat.py'", "did you mean 'net.py'?", schema=False
    ),
    "weights missing": _wrong("net.pt\n", "w/x.pt\n", 5, 3, "no file 'w/x.pt'", "relative to the folder", schema=False),
    "weights a folder": _wrong("net.pt\n", "folder\n", 5, 3, "is a folder", schema=False),
    "weights empty": _wrong("net.pt\n", "nothing.pt\n", 5, 3, "'nothing.pt' is empty", schema=False),
    "weights with NUL": _wrong("net.pt\n", '"a\\0b"\n', 5, 3, "no file 'a\\x00b'", schema=False),
    "weights name too long": _wrong("net.pt\n", "n" * 300 + "\n", 5, 3, "n" * 300, schema=False),
    # input
    "shape four": _wrong("[3, 8, 9]", "[1, 3, 8, 9]", 7, 3, "leave the batch axis out: [3, 8, 9]"),
    "shape empty": _wrong("[3, 8, 9]", "[]", 7, 3, "input.shape must be"),
    "shape zero": _wrong("[3, 8, 9]", "[3, 0, 9]", 7, 14, "input.shape[1]", "from 1 to 65535, not the number 0"),
    "shape negative": _wrong("[3, 8, 9]", "[3, 8, -9]", 7, 17, "input.shape[2]"),
    "shape real": _wrong("[3, 8, 9]", "[3, 8, 9.5]", 7, 17, "a whole number"),
    "shape octal": _wrong("[3, 8, 9]", "[3, 8, 011]", 7, 17, "in decimal", schema=False),
    "shape a minute": _wrong("[3, 8, 9]", "[3, 8, 1:30]", 7, 17, "in decimal", schema=False),
    "shape huge": _wrong("[3, 8, 9]", "[60000, 60000, 9]", 7, 3, "at most 16777216", schema=False),
    "shape endless": _wrong("[3, 8, 9]", f"[3, 8, {'9' * 5000}]", 7, 17, "a whole number", schema=False),
    "shape a number": _wrong("[3, 8, 9]", "8", 7, 3, "input.shape must be [C, H, W]"),
    "source unknown": _wrong("shape:", "source: arducam_ov2460\n  shape:", 7, 3, "did you mean 'arducam_ov2640'?"),
    "source and vector": _wrong(
        "[3, 8, 9]", "[8]\n  source: arducam_ov2640", 8, 3, "needs the shape [C, H, W]", schema=False
    ),
    "threshold 256": _wrong("scale: 1/255", "threshold: 256", 8, 16, "from 0 to 255, not the number 256"),
    "threshold -1": _wrong("scale: 1/255", "threshold: -1", 8, 16, "from 0 to 255"),
    "threshold real": _wrong("scale: 1/255", "threshold: 0.5", 8, 16, "from 0 to 255"),
    "scale code": _wrong("1/255", "__import__('os').getcwd()", 8, 16, "scale must be a number"),
    "scale power": _wrong("1/255", "9**9**9", 8, 16, "scale must be a number"),
    "scale huge exponent": _wrong("1/255", "1e999999999", 8, 16, "scale must be a number"),
    "scale by zero": _wrong("1/255", "1/0", 8, 16, "divides by 0", schema=False),
    "scale zero": _wrong("1/255", "0", 8, 16, "above 0"),
    "scale nan": _wrong("1/255", ".nan", 8, 16, "scale must be a number", schema=False),
    "scale infinite": _wrong("1/255", ".inf", 8, 16, "scale must be a number"),
    "mean one number": _wrong("scale: 1/255", "mean: 0.5", 8, 16, "mean must be a list", "[0.5]"),
    "mean too short": _wrong("scale: 1/255", "mean: [1, 2]", 8, 16, "has 2 numbers, not 3", "3 channels", schema=False),
    "std too long": _wrong("scale: 1/255", "std: [1, 2, 3, 4]", 8, 16, "has 4 numbers, not 3", schema=False),
    "std zero": _wrong("scale: 1/255", "std: [1, 0.0, 3]", 8, 25, "std is 0"),
    "beyond float32": _wrong("scale: 1/255", "std: [1, 1e-40, 1]", 8, 3, "float32 cannot hold", schema=False),
    "mean empty": _wrong("scale: 1/255", "mean: []", 8, 16, "is an empty list"),
    # output
    "labels numbers": _wrong(
        '["a", "b"]', "[0, 1, 2, 3]", 9, 19, "not the number 0 (and 3 more)", '["0", "1", "2", ...]'
    ),
    "labels words": _wrong('["a", "b"]', "[a, no]", 9, 22, "not the yes-or-no value no", '["no"]'),
    "labels empty": _wrong('["a", "b"]', "[]", 9, 10, "is an empty list"),
    "label empty": _wrong('["a", "b"]', '[a, ""]', 9, 22, "output.labels[1] is empty"),
    "label with NUL": _wrong('["a", "b"]', r'["a\0b"]', 9, 19, "NUL"),
    "labels a text": _wrong('["a", "b"]', "a b", 9, 10, "a list of texts"),
    "half a character": _wrong('["a", "b"]', r'["\ud800"]', 9, 19, "half a character", "d800", schema=False),
    # memory, validate
    "budget with unit": _more("memory: {ram_budget: 6 kB}", 10, "write 6K"),
    "budget zero": _more("memory: {ram_budget: 0}", 10, "a size in bytes"),
    "budget negative": _more("memory: {ram_budget: -1}", 10, "a size in bytes"),
    "budget real": _more("memory: {ram_budget: 1.5K}", 10, "a size in bytes"),
    "budget too large": _more("memory: {ram_budget: 9999999999}", 10, "a size in bytes"),
    "weights in RAM, a word": _more("memory: {ram_weights: auot}", 10, "did you mean 'auto'?"),
    "weights in RAM, a unit": _more("memory: {ram_weights: 2 kB}", 10, "write 2K"),
    "schedule unknown": _more("memory: {schedule: pingpog}", 10, "did you mean 'pingpong'?"),
    "stage unknown": _wrong("stage: network", "stage: net", 10, 28, "camera or network, not the text 'net'"),
    "accuracy in percent": _wrong("stage: network", "stage: network, min_accuracy: 98", 10, 44, "from 0 to 1"),
    "samples none": _wrong("stage: network", "stage: network, samples: 0", 10, 44, "of at least 1"),
    # precision, calibration
    "precision unknown": _more("precision: int4", 1, "precision must be float32 or int8, not the text 'int4'"),
    "int8 alone": _more(
        "precision: int8", 1, "precision: int8 needs the key calibration", "real samples", "add calibration: {file:"
    ),
    "calibration a file": _more("calibration: cal.npz", 1, "calibration must be a mapping"),
    "calibration empty": _more("calibration: {}", 1, "neither file nor ranges", "add file: ... and stage: ..."),
    "calibration without file": _more("calibration: {stage: network}", 1, "neither file nor ranges"),
    "calibration without stage": _more(
        "calibration: {file: cal.npz}", 1, "the key calibration.stage is missing", "past invert and threshold"
    ),
    "calibration missing": _more(
        "calibration: {file: cat.npz, stage: network}", 15, "no file 'cat.npz'", "did you mean 'cal.npz'?", schema=False
    ),
    "stage of calibration": _more(
        "calibration: {file: cal.npz, stage: raw}", 30, "calibration.stage must be camera or network"
    ),
    "method unknown": _more(
        "calibration: {file: cal.npz, stage: network, method: entropy}", 46, "minmax or percentile or mse"
    ),
    "percentile of minmax": _more(
        "calibration: {file: cal.npz, stage: network, percentile: 99}", 46, "goes with method: percentile only"
    ),
    "percentile 50": _more(
        "calibration: {file: cal.npz, stage: network, method: percentile, percentile: 50}", 66, "above 50 and at most"
    ),
    "percentile 101": _more(
        "calibration: {file: cal.npz, stage: network, method: percentile, percentile: 101}", 66, "above 50 and at most"
    ),
    "linear unknown": _more(
        "calibration: {ranges: ranges.json, linear: per_axis}", 36, "linear must be per_tensor or per_channel"
    ),
    "ranges and samples": _more(
        "calibration: {ranges: ranges.json, samples: 9}", 36, "calibration.samples does not go with ranges"
    ),
    "ranges and method": _more(
        "calibration: {ranges: ranges.json, method: mse}", 36, "calibration.method does not go with ranges"
    ),
    "ranges and file": _more(
        "calibration: {ranges: ranges.json, file: cal.npz}", 36, "file does not go with ranges", "keep one of the two"
    ),
    # layers
    "layers empty": _wrong(_PYTHON, "  layers: []\n", 4, 3, "is an empty list"),
    "layers a text": _wrong(_PYTHON, "  layers: ReLU\n", 4, 3, "a list of layers"),
    "layer unknown": _layer("relu", 5, "'relu' is no layer", "did you mean ReLU?"),
    "layer far": _layer("Transformer: {}", 5, "'Transformer' is no layer", "known: Conv1d"),
    "layer needs": _layer("Conv2d", 5, "Conv2d needs out_channels and kernel_size"),
    "layer needs one": _layer("Conv2d: {kernel_size: 3}", 5, "Conv2d needs out_channels"),
    "layer argument": _layer(
        "MaxPool2d: {kernel_size: 2, strid: 2}", 33, "no argument 'strid'", "did you mean 'stride'?"
    ),
    "layer argument type": _layer("Linear: {out_features: ten}", 14, "out_features must be a whole number", "'ten'"),
    "layer pair": _layer("MaxPool2d: {kernel_size: [1, 2, 3]}", 17, "or [height, width], not a list"),
    "layer padding": _layer(
        "Conv2d: {out_channels: 1, kernel_size: 1, padding: full}", 47, "same or valid, not the text 'full'"
    ),
    "layer positional": _layer("Conv2d: [1, 6, 5]", 5, "must be a mapping, not a list", "name them"),
    "layer two keys": _layer(
        "Linear:\n    out_features: 10", 5, "holds 2 keys", "indent out_features by two more spaces"
    ),
    "layer a number": _layer("5", 5, "a class of torch.nn", "not the number 5"),
    "layer name a number": _layer("ReLU: {name: 0}", 12, "name must be a text, not the number 0", '"0"'),
    "layer probability": _layer("Dropout: {p: 1.5}", 15, "from 0 to 1"),
    "layer nan": _layer("LeakyReLU: {negative_slope: .nan}", 17, "must be a number", schema=False),
    "layer name twice": _layer("ReLU: {name: a}\n  - Tanh: {name: a}", 0, "two layers are called 'a'", schema=False),
    "layer name a position": _layer("ReLU: {name: '1'}\n  - Tanh", 0, "two layers are called '1'", schema=False),
    # not built yet
    "flash": _more("flash: {mode: dual}", 1, "flash", "is not built yet"),
    # several inputs
    "input and inputs": _more("inputs: {x: {shape: [3]}}", 1, "input and inputs are both there"),
}

_AT_SECOND_LAYER = {"layer name twice", "layer name a position"}
for _name in _AT_SECOND_LAYER:
    WRONG[_name] = Wrong(WRONG[_name].text, 6, 5, WRONG[_name].says, False)
