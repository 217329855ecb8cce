"""Runs the user's own Python: imports the file that a spec names, builds the network, and notes every file it read.

The user's folder is importable while the network is built and captured, and forgotten afterwards, so that two models
may each have a ``blocks.py`` of their own.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import torch

from uc_nn_pio.errors import Location, ModelError

_OURS = Path(__file__).resolve().parents[1]


class UserCode:
    """One Python file of the user's while it is imported. Made by :func:`user_code`."""

    def __init__(self, file: Path) -> None:
        self.file = file.resolve()
        self.module: ModuleType | None = None
        self._before = dict(sys.modules)

    def files(self) -> tuple[Path, ...]:
        """The user's Python files imported so far: not the standard library's, not those of installed packages."""
        found = {self.file}
        for name, module in list(sys.modules.items()):
            if self._before.get(name) is module:
                continue
            path = _path(module)
            if path and is_user_file(path):
                found.add(path)
        return tuple(sorted(found))

    def build(self, attribute: str, arguments: Mapping[str, object], where: Location) -> torch.nn.Module:
        """The network that ``attribute`` of the file is, or gives when called with ``arguments``.

        Raises:
            ModelError: the name is missing, the call fails, or it gives something else than a network.
        """
        target = getattr(self.module, attribute, None)
        if target is None:
            raise self._missing(attribute, where)
        if isinstance(target, torch.nn.Module):
            if arguments:
                raise ModelError(
                    f"{attribute} is a network already, and takes no arguments", where=where, next_step="leave them out"
                )
            return target
        if not callable(target):
            raise ModelError(
                f"{attribute} in {self.file.name} is a {type(target).__name__}",
                where=where,
                next_step="name a class derived from torch.nn.Module, a function that returns one, or a network itself",
            )
        self._check_arguments(target, attribute, arguments, where)
        with user_errors(f"{attribute}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})", self.file):
            network = target(**arguments)
        if not isinstance(network, torch.nn.Module):
            raise ModelError(
                f"{attribute} in {self.file.name} returns a {type(network).__name__}, not a network",
                where=where,
                next_step="return a torch.nn.Module",
            )
        return network

    def networks(self) -> dict[str, bool]:
        """The classes of networks that the file itself defines; whether each can be made without arguments."""
        found = {}
        for name, value in vars(self.module).items():
            if (
                isinstance(value, type)
                and issubclass(value, torch.nn.Module)
                and value.__module__ == self.module.__name__
            ):
                try:
                    inspect.signature(value).bind()
                    found[name] = True
                except TypeError:
                    found[name] = False
        return found

    def _missing(self, attribute: str, where: Location) -> ModelError:
        names = [
            name
            for name, value in vars(self.module).items()
            if not name.startswith("_")
            and callable(value)
            and getattr(value, "__module__", None) == self.module.__name__
        ]
        near = difflib.get_close_matches(attribute, names, 1, 0.5)
        return ModelError(
            f"{self.file.name} has no {attribute!r}",
            where=where,
            why=f"it defines {', '.join(names)}" if names else "it defines no class or function",
            next_step=f"did you mean {near[0]}?" if near else "name a class derived from torch.nn.Module",
        )

    def _check_arguments(self, target: object, name: str, arguments: Mapping[str, object], where: Location) -> None:
        try:
            inspect.signature(target).bind(**arguments)
        except TypeError as error:
            raise ModelError(
                f"{name} cannot be called with these arguments: {error}",
                where=where,
                why=f"{name}{inspect.signature(target)}",
                next_step="give what it needs under model.arguments",
            ) from None
        except ValueError:  # a built-in class without a signature: calling it will tell
            return


@contextlib.contextmanager
def user_code(file: Path) -> Iterator[UserCode]:
    """Import ``file`` by its path, its folder first on ``sys.path`` while the block runs.

    Raises:
        ModelError: the file is missing, or its code raises; with the line in the user's file.
    """
    if not file.is_file():
        raise ModelError(
            f"there is no file {file.name}", where=Location(file), next_step="check model.python in the spec"
        )
    name, folder = module_name(file.resolve())
    hidden = _hide_namesakes(folder)
    code = UserCode(file)
    path, write = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # a folder of the user's is read, never written
    importlib.invalidate_caches()
    try:
        with user_errors(f"importing {file.name}", code.file):
            code.module = _import(name, code.file)
        yield code
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = write
        for key, module in list(sys.modules.items()):
            where = _path(module) or _folder_of_namespace(module)
            if code._before.get(key) is not module and where and is_user_file(where):
                del sys.modules[key]
        sys.modules.update(hidden)


def module_name(file: Path) -> tuple[str, Path]:
    """The dotted name of a file and the folder it counts from: beyond the packages (``__init__.py``) around it."""
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def _import(name: str, file: Path) -> ModuleType:
    if "." in name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModelError(
            f"{file.name} is no Python file", where=Location(file), next_step="name a file that ends in .py"
        )
    module = importlib.util.module_from_spec(spec)
    # A file called like an installed module keeps out of that module's place.
    if name not in sys.modules:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _hide_namesakes(folder: Path) -> dict[str, ModuleType]:
    """Take modules of other folders out of ``sys.modules`` where this folder has one of the same name."""
    try:
        local = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()}
    except OSError:
        return {}
    hidden = {}
    for name, module in list(sys.modules.items()):
        path = _path(module)
        if name.partition(".")[0] in local and path and is_user_file(path):
            hidden[name] = sys.modules.pop(name)
    return hidden


def _path(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) and file.endswith(".py") else None


def _folder_of_namespace(module: object) -> Path | None:
    """The (first) folder of a package without ``__init__.py``."""
    if getattr(module, "__file__", None) is not None:
        return None
    first = next(iter(getattr(module, "__path__", ())), None)
    return Path(first).resolve() if isinstance(first, str) else None


def _installed() -> tuple[Path, ...]:
    paths = [sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    with contextlib.suppress(AttributeError):
        paths += [*site.getsitepackages(), site.getusersitepackages()]
    return (*(Path(path).resolve() for path in paths), _OURS, Path(torch.__file__).resolve().parent)


_INSTALLED = _installed()


def is_user_file(path: Path) -> bool:
    """Whether a Python file is the user's: not the standard library's, an installed package's, or ours."""
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return False
    return not any(path.is_relative_to(folder) for folder in _INSTALLED)


@contextlib.contextmanager
def user_errors(doing: str, file: Path) -> Iterator[None]:
    """Turn whatever the user's code raises into one message with the line in the user's file."""
    try:
        yield
    except (ModelError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: a script that ends the process is no network
        raise user_error(doing, error, file) from None


def user_error(doing: str, error: BaseException, file: Path) -> ModelError:
    """The message for an exception out of the user's code."""
    where = user_line(error) or Location(file)
    text = str(error).strip()
    what = f"{doing} failed: {type(error).__name__}" + (f": {text.splitlines()[0]}" if text else "")
    line = _source_line(where)
    next_step = "mend it there"
    if isinstance(error, ModuleNotFoundError):
        next_step = f"install {error.name} into {sys.executable}'s environment, or correct the import"
    elif isinstance(error, SystemExit):
        next_step = "put code that runs a script under: if __name__ == '__main__':"
    return ModelError(what, where=where, why=line, next_step=next_step)


def user_line(error: BaseException) -> Location | None:
    """The innermost line of the user's own files in an exception's traceback."""
    if isinstance(error, SyntaxError) and error.filename and is_user_file(Path(error.filename)):
        return Location(error.filename, error.lineno, error.offset)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_file() and is_user_file(Path(frame.filename).resolve()):
            return Location(frame.filename, frame.lineno)
    return None


def _source_line(where: Location) -> str | None:
    if where.line is None:
        return None
    with contextlib.suppress(OSError, UnicodeDecodeError, IndexError):
        return f"the line reads: {Path(where.file).read_text(encoding='utf-8').splitlines()[where.line - 1].strip()}"
    return None
