"""Files are written whole or not at all: with a full disk, a rename that fails, and in a process that is killed."""

from __future__ import annotations

import errno
import io
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_converter import folder as folder  # the fixture
from tests.test_converter import write
from uc_nn_pio import files as files_module
from uc_nn_pio.cli import main
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.files import ABANDONED_SECONDS, NEW, OLD, write_files

OLD_TEXTS = {"net/net.h": "old h\n", "net/net.c": "old c\n", "gone/gone.c": "old gone\n", "manifest.json": "old\n"}
NEW_TEXTS = {"net/net.h": "new h\n", "net/net.c": "new c\n", "more/more.c": "new more\n", "manifest.json": "new\n"}
EXAMPLE = Path(__file__).parents[1] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _full_at_write(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.FileIO):
        def write(self, data: bytes) -> int:
            super().write(data[: len(data) // 2])
            raise full()

    monkeypatch.setattr(files_module.os, "fdopen", lambda handle, mode: Stream(handle, mode))


def _full_at_close(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.FileIO):
        def close(self) -> None:
            super().close()
            raise full()

    monkeypatch.setattr(files_module.os, "fdopen", lambda handle, mode: Stream(handle, mode))


def _full_at_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise full()

    monkeypatch.setattr(files_module.os, "fsync", fsync)


@pytest.mark.parametrize("fill", [_full_at_write, _full_at_close, _full_at_fsync])
def test_a_full_disk_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    write_files(tmp_path, OLD_TEXTS)
    fill(monkeypatch)
    with pytest.raises(UcNnError, match=r"cannot write .*net\.h: No space left on device") as caught:
        write_files(tmp_path, NEW_TEXTS, remove=["gone/gone.c"])
    assert "untouched" in str(caught.value) and "next: free space" in str(caught.value)
    assert texts(tmp_path) == OLD_TEXTS


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("at", range(4))
def test_a_rename_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, links: bool) -> None:
    write_files(tmp_path, OLD_TEXTS)
    calls = []
    replace = os.replace

    def refusing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == at + 1:
            raise PermissionError(errno.EACCES, "it is open elsewhere", str(source), None, str(target))
        replace(source, target)

    def no_link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(files_module.os, "replace", refusing)
    if not links:
        monkeypatch.setattr(files_module.os, "link", no_link)
    with pytest.raises(UcNnError, match="it is open elsewhere") as caught:
        write_files(tmp_path, NEW_TEXTS, remove=["gone/gone.c"])
    assert list(NEW_TEXTS)[at] in str(caught.value) and NEW not in str(caught.value)
    assert texts(tmp_path) == OLD_TEXTS


def test_what_is_not_wanted_goes_with_its_folder(tmp_path: Path) -> None:
    write_files(tmp_path, OLD_TEXTS)
    assert write_files(tmp_path, NEW_TEXTS, remove=["gone/gone.c"]) == [tmp_path / name for name in NEW_TEXTS]
    assert texts(tmp_path) == NEW_TEXTS and not (tmp_path / "gone").exists()


# Ends itself at the N-th thing that it does to a file below the folder; audit events come before the deed.
KILLED = """\
import os, signal, sys
from pathlib import Path
from tests.test_files import NEW_TEXTS
from uc_nn_pio.files import write_files

folder, left = sys.argv[1], int(sys.argv[2])
DEEDS = ("open", "os.rename", "os.remove", "os.link", "os.chmod", "os.mkdir", "os.rmdir")

def hook(event, arguments):
    global left
    if event in DEEDS and str(arguments[0]).startswith(folder):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

for number in range(left, 1000):
    child = os.fork()
    if not child:
        left = number
        sys.addaudithook(hook)
        write_files(Path(folder, str(number)), NEW_TEXTS, remove=["gone/gone.c"])
        os._exit(0)
    if os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 0 and not os.path.exists(os.path.join(folder, str(number + 1))):
        break
"""


def test_a_process_that_is_killed_leaves_whole_files_and_an_old_manifest_until_all_is_done(tmp_path: Path) -> None:
    most = 60
    for number in range(most):
        write_files(tmp_path / str(number), OLD_TEXTS)
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "0"], cwd=root, check=True, timeout=60)
    seen = set()
    for number in range(most):
        found = texts(tmp_path / str(number))
        whole = {name: text for name, text in found.items() if not name.endswith((NEW, OLD))}
        for name, text in whole.items():
            assert text in (OLD_TEXTS.get(name), NEW_TEXTS.get(name)), (number, name)
        if whole["manifest.json"] == NEW_TEXTS["manifest.json"]:
            assert whole == NEW_TEXTS, number
        seen.add(tuple(sorted(whole.items())))
        for name in found.keys() - whole.keys():
            left = tmp_path / str(number) / name
            assert left.name.startswith(".")
            assert left.stat().st_mtime < time.time() + ABANDONED_SECONDS
        write_files(tmp_path / str(number), NEW_TEXTS, remove=["gone/gone.c"])
        found = texts(tmp_path / str(number))
        assert {name: text for name, text in found.items() if not name.endswith((NEW, OLD))} == NEW_TEXTS
    assert len(seen) == 6, "all old; one, two and three files new; without the one that goes; all new"


def test_what_a_killed_process_left_is_swept_up_when_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [tmp_path / f".net.c.abc{suffix}" for suffix in (NEW, OLD)]
    for path in left:
        path.write_text("half")
    write_files(tmp_path, {"net.c": "one"})
    assert all(path.exists() for path in left), "somebody may be writing it now"
    monkeypatch.setattr(files_module, "ABANDONED_SECONDS", -1.0)
    write_files(tmp_path, {"net.c": "two"})
    assert texts(tmp_path) == {"net.c": "two"}


def test_every_verb_that_writes_says_that_the_disk_is_full_and_keeps_the_last_good_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, spec = folder / "out", str(write(folder))
    convert = ["convert", spec, "-o", str(out), "--depfile", str(out / "net.d")]
    page = ["report", spec, "--html", str(out / "page.html")]
    ranges = ["calibrate", str(EXAMPLE), "-o", str(out / "ranges.json")]
    for command in (convert, page, ranges):
        assert main(command) == 0
    for path in out.iterdir():
        path.write_text("/* of the last conversion */\n")
    before = texts(out)
    assert len(before) == 5
    capsys.readouterr()
    _full_at_fsync(monkeypatch)
    for command in (convert, page, ranges, ["guess", str(folder / "net.pt"), "-o", str(out / "guessed.yaml")]):
        assert main(command) == 2
        said = capsys.readouterr()
        assert "cannot write" in said.err and "No space left on device" in said.err and "next: free" in said.err
        assert said.out == "" and texts(out) == before


def test_a_limit_of_the_system_itself(tmp_path: Path) -> None:
    """The kernel refuses in the middle of a file, as a full disk does."""
    write_files(tmp_path, {"a": "old", "b": "old"})
    code = (
        "import sys; from pathlib import Path; from uc_nn_pio.files import write_files\n"
        "write_files(Path(sys.argv[1]), {'a': 'new', 'b': 'x' * 100_000})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0 and "cannot write" in done.stderr and "File too large" in done.stderr
    assert texts(tmp_path) == {"a": "old", "b": "old"}


def test_a_full_standard_output_is_said(tmp_path: Path) -> None:
    with open("/dev/full", "w") as target:
        command = [sys.executable, "-m", "uc_nn_pio", "ops"]
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "No space left on device" in done.stderr and "Traceback" not in done.stderr
