"""Converts a project's networks during ``pio run`` and adds the C to the build.

A project has a copy of this file, ``uc_nn.py``, and names it in platformio.ini::

    extra_scripts = pre:uc_nn.py
    custom_uc_nn_models = models/lenet5.yaml

It needs the standard library alone: PlatformIO's Python often has no torch. The converter runs as a process of its
own, in an interpreter that has it, and only when an input changed: model specs, weights, the user's Python, options,
the converter itself, or an output that is missing or was edited. docs/platformio.md describes every option.
"""

import difflib
import errno
import glob
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time

try:
    import fcntl
except ImportError:
    fcntl = None
    import msvcrt

MANIFEST_VERSION = 4
OPTIONS = (
    *("models", "output", "python", "core_hz", "flash", "stack", "samples"),
    *("scene", "polarity", "idle_exit", "virtual_args"),
)
PREFIX = "custom_uc_nn_"
CONVERTER_SUFFIXES = (".py", ".j2", ".json", ".ld", ".c", ".h", ".S")
CONVERTER_SKIPPED = ("__pycache__", "virtual", "examples", "platform")
FOREIGN_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXEPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
NEW, OLD = ".uc-nn-new", ".uc-nn-old"  # suffixes of files that are being put into place: uc_nn_pio.files
LOCK_VARIABLE = "UC_NN_BUILD_LOCK"  # tells a build that was started by this one that it need not wait for it
STACK_SCRIPT = "uc_nn_stack.py"
STACK_GUARD = 16  # bytes at the foot of the stack: fe310_stack.h
FIRST_STACK = 16  # of the first link, from which the need is computed
PROBE = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ('uc_nn_pio', 'torch'))))"


class BuildError(Exception):
    """Something that stops the build; its text is all that the user sees."""


# What the guard remembers. uc_nn_pio.pio.generate calls these functions too, so both sides compute the same sums.


def file_digest(path):
    """sha256 of a file with line ends as LF, so that it is the same in every checkout; ``None`` where there is none."""
    try:
        with open(path, "rb") as file:
            return data_digest(file.read())
    except OSError:
        return None


def data_digest(data):
    """sha256 of a file's bytes, see :func:`file_digest`."""
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def converter_digest(roots):
    """One sum over the converter's own files below ``roots``: a new version converts anew."""
    digest = hashlib.sha256()
    for root in roots:
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if name not in CONVERTER_SKIPPED)
            for name in sorted(files):
                if name.endswith(CONVERTER_SUFFIXES):
                    path = os.path.join(folder, name)
                    digest.update(os.path.relpath(path, root).encode("utf-8", "surrogateescape"))
                    digest.update((file_digest(path) or "").encode())
    return digest.hexdigest()


def portable(path, project):
    """``path`` relative to the project if it lies inside, so that a project may be moved; else absolute."""
    path, project = os.path.abspath(path), os.path.abspath(project)
    inside = path == project or path.startswith(os.path.join(project, ""))
    return (os.path.relpath(path, project) if inside else path).replace(os.sep, "/")


def stale_because(manifest, wanted, project, output):
    """Why the outputs must be made again, in a few words; ``None`` if they are fresh."""
    if manifest is None:
        return "not converted yet"
    if manifest["wanted"] != wanted:
        return "options or board changed"
    for name, digest in manifest["inputs"].items():
        if file_digest(os.path.join(project, name)) != digest:
            return name + " changed"
    for name, digest in manifest["outputs"].items():
        if file_digest(os.path.join(output, name)) != digest:
            return (
                "generated file " + name + (" was edited" if os.path.exists(os.path.join(output, name)) else " is gone")
            )
    converter = manifest["converter"]  # without roots where the output is shared: whoever builds may have none
    if "roots" in converter and converter_digest(converter["roots"]) != converter["digest"]:
        return "the converter changed"
    return None


def read_manifest(output):
    """The manifest of the last good conversion; ``None`` if there is none that this version can read."""
    try:
        with open(os.path.join(output, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        return manifest if manifest["manifest"] == MANIFEST_VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


# The project's options ----------------------------------------------------------------------------------------------


def read_options(env):
    """The project's ``custom_uc_nn_*`` options as texts, without the prefix.

    Raises:
        BuildError: an option that does not exist, or no model.
    """
    options = {}
    for name, value in env.GetProjectOptions():
        if name.startswith(PREFIX):
            key = name[len(PREFIX) :]
            if key not in OPTIONS:
                near = difflib.get_close_matches(key, OPTIONS, n=1)
                raise BuildError(
                    f"platformio.ini: error: option {name} is not known\n"
                    f"  next: " + (f"did you mean {PREFIX}{near[0]}?" if near else "see docs/platformio.md")
                )
            options[key] = str(value).strip()
    if not options.get("models"):
        raise BuildError(f"platformio.ini: error: no model is named\n  next: add {PREFIX}models = models/my_model.yaml")
    return options


def frequency(text):
    """Hertz from ``320000000``, ``320000000L``, ``320M`` or ``320 MHz``; ``None`` from an empty text."""
    if not text.strip():
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mk]?)(?:hz|l)?", text.strip().lower())
    hertz = float(found.group(1)) * {"": 1, "k": 1_000, "m": 1_000_000}[found.group(2)] if found else 0.0
    if hertz <= 0 or hertz != round(hertz):
        raise BuildError(
            f"platformio.ini: error: {PREFIX}core_hz = {text} is no frequency\n  next: write 320000000 or 320M"
        )
    return int(hertz)


def what_is_wanted(env, options):
    """Everything but file contents that the outputs depend on."""
    board = None
    if "BOARD" in env:
        manifest = env.BoardConfig().manifest
        build, upload = manifest.get("build", {}), manifest.get("upload", {})
        board = {
            "id": env["BOARD"],
            "manifest": {
                "name": manifest.get("name", env["BOARD"]),
                "build": {
                    key: build[key] for key in ("mcu", "cpu", "march", "mabi", "mcmodel", "f_cpu") if key in build
                },
                "upload": {key: upload[key] for key in ("maximum_ram_size", "maximum_size") if key in upload},
            },
        }
        if "uc_nn" in manifest:
            board["manifest"]["uc_nn"] = manifest["uc_nn"]
    models = env.GetProjectConfig().parse_multi_values(options["models"])
    project = env.subst("$PROJECT_DIR")
    return {
        "board": board,
        "models": [portable(os.path.join(project, os.path.expanduser(model)), project) for model in models],
        "core_hz": frequency(options.get("core_hz", "")),
        "flash": options.get("flash") or "reset",
        "samples": samples(options),
    }


def samples(options):
    """How many test samples of each model the build takes with it."""
    text = options.get("samples") or "0"
    if not text.isdigit():
        raise BuildError(
            f"platformio.ini: error: {PREFIX}samples = {text} is no number of samples\n  next: write 10, say"
        )
    return int(text)


def stack_bytes(options):
    """The stack that the user reserves, in bytes; ``None`` for ``auto``."""
    text = options.get("stack") or "auto"
    if text == "auto":
        return None
    if not text.isdigit() or int(text) % 16 or not int(text):
        raise BuildError(
            f"platformio.ini: error: {PREFIX}stack = {text} is no size of a stack\n"
            f"  next: write auto, or a multiple of 16 such as 1024"
        )
    return int(text)


# The converter's interpreter ----------------------------------------------------------------------------------------


def clean_environment():
    """This process's environment without what would lead another interpreter to PlatformIO's modules."""
    return {key: value for key, value in os.environ.items() if key not in FOREIGN_VARIABLES}


def python_in(folder):
    """The interpreter of a virtual or conda environment, wherever the system puts it."""
    for parts in (("bin", "python"), ("bin", "python3"), ("Scripts", "python.exe"), ("python.exe",)):
        path = os.path.join(folder, *parts)
        if os.path.isfile(path):
            return path
    return None


def candidates(env, options):
    """Interpreters to try, best first, as ``(command, where it comes from)``."""
    project = env.subst("$PROJECT_DIR")
    if os.environ.get("VIRTUAL_ENV"):
        yield [python_in(os.environ["VIRTUAL_ENV"])], "$VIRTUAL_ENV"
    for name in (".venv", "venv"):
        yield [python_in(os.path.join(project, name))], name + " of the project"
    yield [env.subst("$PYTHONEXE")], "PlatformIO's own Python"
    try:
        with open(os.path.join(env.PioPlatform().get_dir(), "uc_nn_setup.json"), encoding="utf-8") as file:
            yield [json.load(file)["python"]], "the Python that ran uc-nn setup"
    except (OSError, ValueError, KeyError):
        pass
    if os.environ.get("CONDA_PREFIX"):
        yield [python_in(os.environ["CONDA_PREFIX"])], "$CONDA_PREFIX"
    if os.name == "nt":
        yield [shutil.which("py"), "-3"], "py -3"
    for name in ("python3", "python"):
        yield [shutil.which(name)], name + " on PATH"


def has_converter(command, folder):
    """Whether an interpreter has uc_nn_pio and torch. Neither is imported.

    ``folder`` becomes the working folder, which Python searches first: the project's own files are not there.
    """
    try:
        done = subprocess.run(
            [*command, "-c", PROBE], cwd=folder, env=clean_environment(), capture_output=True, timeout=60, check=False
        )
        return done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def find_python(env, options, folder):
    """The command of an interpreter that has the converter.

    Raises:
        BuildError: none was found, or the one that the user named has no converter.
    """
    project = env.subst("$PROJECT_DIR")
    for named, source in (
        (os.environ.get("UC_NN_PYTHON"), "$UC_NN_PYTHON"),
        (options.get("python"), PREFIX + "python"),
    ):
        if named:
            path = os.path.expanduser(named)
            found = shutil.which(path) or os.path.join(project, path)
            if has_converter([found], folder):
                return [found]
            raise BuildError(
                f"error: {source} = {named} has no converter\n"
                f"  why:  that Python does not start, or lacks uc_nn_pio or torch\n"
                f"  next: {found} -m pip install uc_nn_pio"
            )
    tried = []
    for command, source in candidates(env, options):
        if not command[0] or command in [item[0] for item in tried]:
            continue
        tried.append((command, source))
        if has_converter(command, folder):
            return command
    listing = "\n".join(f"          {' '.join(command)} ({source})" for command, source in tried)
    raise BuildError(
        "error: no Python with the converter was found\n"
        f"  why:  the network changed, and to convert it takes uc_nn_pio and torch; tried\n{listing}\n"
        f"  next: pip install uc_nn_pio into one of them, or name another: {PREFIX}python = /path/to/python"
    )


# The build ----------------------------------------------------------------------------------------------------------


def private_folder(env):
    """What a build makes for itself alone."""
    return os.path.abspath(os.path.join(env.subst("$PROJECT_WORKSPACE_DIR"), "uc_nn", env.subst("$PIOENV")))


def output_folder(env, options):
    """Where the C goes: into the workspace, or a folder of the project's that is kept in version control."""
    named = options.get("output")
    return os.path.join(env.subst("$PROJECT_DIR"), named, env.subst("$PIOENV")) if named else private_folder(env)


def wait_for_other_builds(env):
    """Return when no other build of this project and environment runs; none begins before this process has ended.

    Two of them would write the same generated files, object files and firmware. The system itself gives the lock back
    when the process ends, however it does.
    """
    folder, name = os.path.split(private_folder(env))
    path = os.path.join(folder, f".{name}.lock")  # not in the folder: uc_nn_clean removes that
    if os.environ.get(LOCK_VARIABLE) == path:
        return
    os.makedirs(folder, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # never closed, and not inherited by what the build starts
    waits = False
    while not take(lock):
        if not waits:
            print(f"uc_nn: another build of environment {env.subst('$PIOENV')} is running; waiting for its end")
            sys.stdout.flush()
        waits = True
        time.sleep(0.1)
    os.environ[LOCK_VARIABLE] = path


def take(lock):
    """Whether this process has the lock now; also true where the file system knows none."""
    try:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(lock, 0, os.SEEK_SET)
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


def convert(env, options, wanted, output, reason):
    """Run the converter.

    Raises:
        BuildError: it failed; it has said why on stderr, and left the last good output.
    """
    os.makedirs(output, exist_ok=True)
    command = find_python(env, options, output)
    shared = bool(options.get("output"))
    request = {
        "request": MANIFEST_VERSION,
        "project": env.subst("$PROJECT_DIR"),
        "output": output,
        "shared": shared,
        **wanted,
    }
    folder = private_folder(env)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "request.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(request, file, indent=1)
    print(f"uc_nn: converting {', '.join(wanted['models'])} ({reason})")
    sys.stdout.flush()
    done = subprocess.run(
        [*command, "-m", "uc_nn_pio.pio.generate", path],
        cwd=output,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise BuildError("uc_nn: the conversion failed (see above)")


def reserve_stack(env, script, wanted):
    """Have the linker reserve the stack that the program needs: link, compute the need, link again.

    ``script`` computes it; ``wanted`` bytes are reserved instead, if given, and checked.
    """
    from SCons.Action import Action  # env.Action would expand the command now, and lose spaces in paths

    link = env["LINKCOM"]

    def again(target, source, env):
        spec = importlib.util.spec_from_file_location("uc_nn_stack", script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        elf = str(target[0])
        try:
            need, path = module.stack_need(elf, env.subst("$BUILD_DIR"))
            reserve = (need + 15) // 16 * 16 + STACK_GUARD
            text = f"{need} bytes needed ({' > '.join(path)}), {STACK_GUARD} of guard"
            if wanted is not None and wanted < reserve:
                raise BuildError(
                    f"error: the stack is too small: {PREFIX}stack = {wanted}\n  why:  {text}\n"
                    f"  next: {PREFIX}stack = {reserve}, or auto"
                )
        except module.UnboundedError as error:
            if wanted is not None:
                sys.stderr.write(f"uc_nn: warning: {PREFIX}stack = {wanted} is not checked: {error}\n")
                return 0
            os.remove(elf)
            sys.stderr.write(
                f"error: the stack that the program needs cannot be computed\n  why:  {error}\n"
                f"  next: change that, or reserve what you know to be enough: {PREFIX}stack = 2048\n"
            )
            return 1
        except BuildError as error:
            os.remove(elf)
            sys.stderr.write(f"{error}\n")
            return 1
        print(f"uc_nn: stack of {wanted or reserve} bytes: {text}")
        if wanted is not None:
            return 0
        second = env.Clone()
        second.Append(LINKFLAGS=[f"-Wl,--defsym=__uc_nn_stack_bytes={reserve}"])
        return Action(link, None)(target, source, second)

    env.Append(CCFLAGS=["-fstack-usage"], LINKFLAGS=[f"-Wl,--defsym=__uc_nn_stack_bytes={wanted or FIRST_STACK}"])
    env.Replace(LINKCOM=[link, Action(again, None)])


def add_to_build(env, manifest, output, stack):
    """Add the generated sources, their headers and the linker script to the build."""
    env["UC_NN_PYTHON"] = manifest.get("python")
    # The platform's own flags are known only after this script, hence the variable that looks them up when it is used.
    env["_UC_NN_CCFLAGS"] = lambda target, source, env, for_signature: env.get("UC_NN_BASE_ENV", env)["CCFLAGS"]
    env["UC_NN_BASE_ENV"] = env
    objects = []
    for source in manifest["sources"]:
        target = os.path.join("$BUILD_DIR", "uc_nn", os.path.splitext(source)[0])
        flags = ["$_UC_NN_CCFLAGS", *manifest.get("flags", {}).get(source, [])]
        objects += env.Object(target=target, source=env.File(os.path.join(output, source)), CCFLAGS=flags)
    env.Append(PIOBUILDFILES=objects)
    bare = not env.get("PIOFRAMEWORK")
    script = manifest["linker_script"]
    if script and bare and not env.GetProjectOption("board_build.ldscript", ""):
        env.Replace(LDSCRIPT_PATH=os.path.join(output, script))
        env.Append(LINKFLAGS=["-nostdlib"], LIBS=["gcc"])
        if STACK_SCRIPT in manifest["outputs"]:
            reserve_stack(env, os.path.join(output, STACK_SCRIPT), stack)
        elif stack is not None:
            env.Append(LINKFLAGS=[f"-Wl,--defsym=__uc_nn_stack_bytes={stack}"])
    elif stack is not None:
        raise BuildError(
            f"platformio.ini: error: {PREFIX}stack has no effect: the linker script is not this project's\n"
            f"  next: remove the option; that linker script says how large the stack is"
        )


# Targets of its own -------------------------------------------------------------------------------------------------


def add_targets(env, options, wanted, output):
    """What ``pio run --list-targets`` and editors show besides building and uploading."""

    def network(name, title, description, *verb):
        env.AddCustomTarget(
            name=name,
            dependencies=None,
            actions=[
                env.VerboseAction(lambda target, source, env: for_each_model(env, options, wanted, output, verb), title)
            ],
            title=title,
            description=description,
        )

    network("uc_nn_report", "Network: report", "RAM, flash and predicted cycles of each layer", "report")
    network("uc_nn_map", "Network: memory map", "What lies where in RAM while each layer runs", "report", "--map")
    network("uc_nn_suggest", "Network: what to make smaller", "For the RAM budget, or for speed", "report", "--suggest")
    network("uc_nn_validate", "Network: validate", "The test data through torch, the reference and the C", "validate")
    if wanted["board"] and (env.BoardConfig().get("uc_nn", None) or {}).get("virtual"):
        virtual = ("validate", "--on", "virtual", "--samples", "20")
        network("uc_nn_validate_virtual", "Network: validate here", "Twenty samples on the virtual board", *virtual)
        env.AddCustomTarget(
            name="uc_nn_profile",
            dependencies=program(env),
            actions=[env.VerboseAction(lambda target, source, env: profile(env, options, output), "Profiling")],
            title="Network: profile",
            description="Where the cycles go on the virtual board, function by function",
        )
    elif wanted["board"] and env.BoardConfig().get("build.mcu", "").startswith("fe310"):
        env.AddCustomTarget(
            name="uc_nn_validate_board",
            dependencies=None,
            actions=[
                env.VerboseAction(
                    lambda target, source, env: validate_board(env, options, wanted, output), "Validating on the board"
                )
            ],
            title="Network: validate on the board",
            description="A hundred samples on the board that is plugged in; its firmware is replaced",
        )
    env.AddCustomTarget(
        name="uc_nn_clean",
        dependencies=None,
        actions=[env.VerboseAction(lambda target, source, env: clean(env, output), "Removing what was generated")],
        title="Network: clean",
        description="Remove the generated C and the running virtual board; the next build converts anew",
    )


def clean(env, output):
    """Remove what the converter wrote, as long as it is what it wrote, and the virtual board that runs it; an edited
    file and somebody else's stay."""
    upload = sys.modules.get("uc_nn_upload")  # of platform uc_nn, which has been read when an action runs
    if upload:
        upload.forget_virtual(upload.state_folder(env))
    manifest = read_manifest(output) or {"outputs": {}}
    paths = [
        os.path.join(output, name)
        for name, digest in manifest["outputs"].items()
        if file_digest(os.path.join(output, name)) == digest
    ]
    paths += [os.path.join(output, "manifest.json"), os.path.join(private_folder(env), "request.json")]
    folders = {os.path.dirname(path) for path in paths}
    for folder in folders:  # what a conversion that was killed left behind
        paths += glob.glob(os.path.join(glob.escape(folder), ".*" + NEW))
        paths += glob.glob(os.path.join(glob.escape(folder), ".*" + OLD))
    for path in filter(os.path.isfile, paths):
        os.remove(path)
    for folder in sorted(folders, key=len, reverse=True):
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def run_tool(env, options, output, *arguments):
    """Run a module of the converter's Python on the terminal; its exit code."""
    os.makedirs(output, exist_ok=True)
    try:
        command = [*find_python(env, options, output), "-m", *arguments]
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.flush()
    return subprocess.run(command, cwd=env.subst("$PROJECT_DIR"), env=clean_environment(), check=False).returncode


def for_each_model(env, options, wanted, output, verb):
    """``uc-nn VERB MODEL`` for every model; for the board where its data are known."""
    manifest = read_manifest(output)
    known = verb[0] == "report" and manifest is not None and manifest["linker_script"]
    more = ["--board", env["BOARD"]] if known else []
    codes = [
        run_tool(env, options, output, "uc_nn_pio", verb[0], model, *verb[1:], *more) for model in wanted["models"]
    ]
    return max(codes)


def validate_board(env, options, wanted, output):
    """For every model: its validation firmware onto the board, as ``upload`` would put it there, and samples over its
    UART, which is ``monitor_port`` or what its USB id says."""
    from SCons.Action import Action

    upload = sys.modules.get("uc_nn_upload")  # of platform uc_nn
    steps = upload.actions(env, env.BoardConfig(), env.PioPlatform()) if upload else ["$UPLOADCMD"]
    elf = os.path.join(env.subst("$BUILD_DIR"), "validate.elf")
    port = f"serial:{env.GetProjectOption('monitor_port', '') or 'auto'}"
    for model in wanted["models"]:
        of_model = ("uc_nn_pio", "validate", model, "--board", env["BOARD"])
        code = (
            run_tool(env, options, output, *of_model, "--firmware", elf)
            or Action(steps)([], [env.File(elf)], env)
            or run_tool(env, options, output, *of_model, "--on", port)
        )
        if code:
            return code
    return 0


def program(env):
    """The ELF file that platform ``uc_nn`` will make: it calls it ``firmware`` where PlatformIO would, ``program``."""
    name = env.get("PROGNAME", "program")
    return os.path.join(env.subst("$BUILD_DIR"), ("firmware" if name == "program" else name) + ".elf")


def profile(env, options, output):
    """A few frames of the firmware on the virtual board, at full speed."""
    page = os.path.join(env.subst("$BUILD_DIR"), "profile.html")
    arguments = ["run", program(env), "--board", env["BOARD"], "--uart", "stdout", "--profile", "-", "--profile", page]
    scene = options.get("scene")
    arguments += ["--scene", scene, "--frames", "4"] if scene else ["--no-camera", "--seconds", "2"]
    if options.get("polarity"):
        arguments += ["--polarity", options["polarity"]]
    code = run_tool(env, options, output, "uc_nn_pio.virtual", *arguments)
    print(f"uc_nn: the same with a chart: {page}")
    return code


def main(env, targets):
    """The whole script. ``targets`` are SCons's command line targets."""
    if env.IsCleanTarget():
        return
    options = read_options(env)
    output = output_folder(env, options)
    wanted = what_is_wanted(env, options)
    add_targets(env, options, wanted, output)
    looks_only = env.IsIntegrationDump() or "envdump" in targets
    if not looks_only:
        wait_for_other_builds(env)
    if "uc_nn_clean" in targets:
        return
    stack = stack_bytes(options)
    manifest = read_manifest(output)
    reason = stale_because(manifest, wanted, env.subst("$PROJECT_DIR"), output)
    if reason and looks_only:
        # An editor merely opened the folder: nothing of the user's runs.
        sys.stderr.write(f"uc_nn: warning: the C of the networks is not up to date ({reason}); pio run makes it\n")
    elif reason:
        convert(env, options, wanted, output, reason)
        manifest = read_manifest(output)
        if manifest is None:
            raise BuildError("error: the converter made nothing\n  next: is the Python that was named a Python?")
    env.Append(CPPPATH=[output, *(os.path.join(output, name) for name in (manifest or {}).get("include", []))])
    if manifest and all(os.path.isfile(os.path.join(output, name)) for name in manifest["outputs"]):
        add_to_build(env, manifest, output, stack)


if "Import" in globals():  # SCons gives its scripts this function; it is missing where the converter imports this file
    Import("env")  # noqa: F821
    try:
        main(env, list(COMMAND_LINE_TARGETS))  # noqa: F821
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        env.Exit(1)  # noqa: F821
    except OSError as error:
        sys.stderr.write(
            f"{error.filename or '.pio'}: error: {error.strerror or error}\n"
            "  why:  the build keeps its files there; the generated C of the last build is as it was\n"
            "  next: free space, or see that you may write there\n"
        )
        env.Exit(1)  # noqa: F821
