"""Builds that meet or are cut short: what is there afterwards is a whole build, or the next one makes it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.pio.conftest import Project
from uc_nn_pio.pio import extra_script, generate

pytestmark = pytest.mark.pio


def start(project: Project, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "platformio", *arguments],
        cwd=project.folder,
        env={**project.environment, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def fresh(project: Project) -> bool:
    """Whether the guard takes what is there, which it compares with the manifest file by file."""
    output = str(project.generated("").parent / "virtual")
    manifest = extra_script.read_manifest(output)
    return manifest is not None and not extra_script.stale_because(
        manifest, manifest["wanted"], str(project.folder), output
    )


def test_two_builds_at_once(project: Project) -> None:
    project.run()
    for turn in range(2):
        project.write("models/tiny.bin", f"weights of turn {turn}")
        builds = [start(project, "run") for _ in range(2)]
        said = [build.communicate(timeout=120)[0] for build in builds]
        assert [build.returncode for build in builds] == [0, 0], "\n".join(said)
        assert project.conversions() == turn + 2, "the second finds what the first has made"
        assert fresh(project) and f"weights of turn {turn}".encode() in project.elf().read_bytes()
        assert sum("is running; waiting for its end" in text for text in said) == 1
    before = project.processes()
    project.run()
    assert project.processes() == before


def test_a_build_waits_for_another_and_one_within_it_does_not(project: Project) -> None:
    project.run()
    project.write("models/tiny.bin", "later")
    path = project.folder / ".pio" / "uc_nn" / ".virtual.lock"
    with path.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        project.run("-t", "envdump")  # an editor is not kept waiting
        waiting = start(project, "run")
        assert waiting.stdout is not None
        for line in waiting.stdout:
            if "another build of environment virtual is running" in line:
                break
        else:
            pytest.fail("it does not wait")
        time.sleep(0.5)
        assert waiting.poll() is None and project.conversions() == 1
        inside = project.run("-t", "uc_nn_clean", **{extra_script.LOCK_VARIABLE: str(path)})
        assert "waiting" not in inside.stdout
    said = waiting.communicate(timeout=120)[0]
    assert waiting.returncode == 0, said
    assert project.conversions() == 2 and b"later" in project.elf().read_bytes() and fresh(project)


# The converter's side, which ends itself at its N-th deed in the output folder; the converter itself is no matter here.
KILLED = """\
import os, shutil, signal, sys, types
from pathlib import Path

class Conversion:
    compile_flags = ()
    def __init__(self, name, text, dependency):
        self.name, self.files, self.dependencies = name, {f"{name}.h": text, f"{name}.c": text}, (dependency,)
        self.report = {"text": text}
    def line(self, core_hz, flash):
        return self.name

module = types.ModuleType("uc_nn_pio.converter")
module.Conversion = Conversion
module.convert = lambda spec, board=None: Conversion(spec.stem, spec.read_text(), spec)
sys.modules["uc_nn_pio.converter"] = module
from uc_nn_pio.pio import extra_script
from uc_nn_pio.pio.generate import generate

project, output = Path(sys.argv[1]) / "project", Path(sys.argv[1]) / "output"
DEEDS = ("open", "os.rename", "os.remove", "os.link", "os.chmod", "os.mkdir", "os.rmdir")
left = None

def hook(event, arguments):
    global left
    if left is not None and event in DEEDS and str(arguments[0]).startswith(str(output)):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)

def build(models, text, kill_at=None):
    \"\"\"Whether it came to its end.\"\"\"
    global left
    wanted = {"board": None, "models": models, "core_hz": None, "flash": "reset", "samples": 0}
    for name in models:
        (project / name).write_text(text)
        os.utime(project / name, (1, 1))  # not while the conversion runs
    request = {"request": extra_script.MANIFEST_VERSION, "project": project, "output": output, "shared": True, **wanted}
    child = os.fork()
    if not child:
        left = kill_at
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        generate(request)
        os._exit(0)
    return wanted, os.waitpid(child, 0)[1] == 0

def check(wanted, when):
    \"\"\"What the guard takes for fresh is what a whole build made of these inputs.\"\"\"
    names = [Path(name).stem for name in wanted["models"]]
    for text in ("old", "new"):
        for name in wanted["models"]:
            (project / name).write_text(text)
        manifest = extra_script.read_manifest(output)
        assert manifest is not None, when
        if extra_script.stale_because(manifest, wanted, project, output) is None:
            for name in names:
                for suffix in ("h", "c"):
                    assert (output / name / f"{name}.{suffix}").read_text() == text, when
            yield text

number, taken = 0, []
while True:
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    assert build(["a.yaml", "b.yaml"], "old")[1]
    wanted, done = build(["a.yaml"], "new", number)
    taken.append((*check({**wanted, "models": ["a.yaml", "b.yaml"]}, number), *check(wanted, number)))
    if done:
        break
    assert build(["a.yaml"], "new")[1], "the next build goes on from there"
    assert [*check(wanted, number)] == ["new"] and not (output / "b" / "b.c").exists(), number
    number += 1
print(number, *("+".join(each) or "none" for each in dict.fromkeys(taken)))
"""


def test_a_conversion_that_is_killed_anywhere_is_whole_or_noticed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    number, *taken = done.stdout.split()
    assert int(number) > 25 and taken == ["old", "none", "new"], "the old build, one that is noticed, the new build"


def test_an_input_that_changes_while_it_is_converted_is_converted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, wanted = tmp_path / "a.yaml", {"board": None, "models": ["a.yaml"], "core_hz": None, "flash": "reset"}
    wanted["samples"] = 0
    request = {"request": extra_script.MANIFEST_VERSION, "project": tmp_path, "output": tmp_path / "out", **wanted}
    spec.write_text("old")
    os.utime(spec, (1, 1))
    saved_meanwhile = ["new"]

    def convert(path: Path, board: None) -> SimpleNamespace:
        text = path.read_text()
        if saved_meanwhile:
            path.write_text(saved_meanwhile.pop())
            os.utime(path)  # to the nanosecond, which the kernel's own clock is not
        files = {"a.c": text}
        return SimpleNamespace(
            name="a", files=files, dependencies=(path,), report={}, compile_flags=(), line=lambda *of: "a"
        )

    monkeypatch.setattr(generate, "convert", convert)
    for expected, stale in (("old", "a.yaml changed"), ("new", None)):
        generate.generate({**request, "shared": True})
        if stale is None:
            os.utime(spec, (1, 1))
            generate.generate({**request, "shared": True})
        assert (tmp_path / "out" / "a" / "a.c").read_text() == expected
        manifest = extra_script.read_manifest(str(tmp_path / "out"))
        assert extra_script.stale_because(manifest, wanted, str(tmp_path), str(tmp_path / "out")) == stale


@pytest.mark.parametrize("what", [".pio/uc_nn", ".pio/uc_nn/virtual/request.json"])
def test_what_the_build_cannot_write_for_itself_is_said(project: Project, what: str) -> None:
    if what.endswith(".json"):
        project.generated(what).mkdir(parents=True)
        (project.folder / what).mkdir(parents=True)
    else:
        project.write(what, "a file")
    failed = project.pio("run")
    assert failed.returncode != 0 and "Traceback" not in failed.stderr
    assert f"{what}" in failed.stderr and "error: " in failed.stderr and "next: free space" in failed.stderr
