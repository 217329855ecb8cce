"""Uploads of platform ``uc_nn``: OpenOCD for boards with a debug port, a background process for the virtual one.

OpenOCD serves both revisions: its FTDI and J-Link drivers are in every distribution's package, where SEGGER's
JLinkExe has to be fetched by hand. What differs between boards is data in the board manifest (``upload.openocd``).
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
VIRTUAL_MODULE = "uc_nn_pio.virtual"
STATE_FILES = ("board.json", "port", "log.txt")


def actions(env, board, platform):
    """The actions behind ``-t upload``, chosen by ``upload_protocol``."""
    protocol = env.subst("$UPLOAD_PROTOCOL") or board.get("upload.protocol", "")
    if protocol == "virtual":
        return [
            env.VerboseAction(
                lambda target, source, env: start_virtual(env, board, platform, source[0]),
                "Starting the virtual board with $SOURCE",
            )
        ]
    if protocol == "qemu" and board.get("upload.qemu", None):
        return [
            env.VerboseAction(lambda target, source, env: run_qemu(env, board, source[0]), "Running $SOURCE in QEMU")
        ]
    if protocol == "custom":
        return [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
    if protocol in board.get("upload.protocols", []) and board.get("upload.openocd", None):
        return [
            env.VerboseAction(
                lambda target, source, env: run_openocd(env, board, platform, source[0]), "Uploading $SOURCE"
            )
        ]
    return [env.VerboseAction(lambda target, source, env: refuse(board, protocol), "Uploading $SOURCE")]


def refuse(board, protocol):
    """An upload protocol that nobody defined is an error, not a build that seems to have uploaded."""
    known = ", ".join(board.get("upload.protocols", []) or ["none"])
    sys.stderr.write(f"error: upload_protocol {protocol!r} is not known for this board\n  next: use one of {known}\n")
    return 1


def run_program(env, command, missing, failed):
    """Run ``command``, its text on the terminal, and return its exit code; ``missing`` and ``failed`` are what to say.

    It is looked for on the build's own ``PATH``, where PlatformIO's packages are.
    """
    print(shlex.join(command))
    sys.stdout.flush()
    path = str(env["ENV"]["PATH"])
    try:
        done = subprocess.run(command, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        sys.stderr.write(f"error: {command[0]} is not installed\n{missing}")
        return 1
    if done.returncode:
        sys.stderr.write(failed.format(code=done.returncode))
    return done.returncode


# QEMU ---------------------------------------------------------------------------------------------------------------


def run_qemu(env, board, elf):
    """Run the firmware to its end with the UART on the terminal; its exit code is the upload's.

    The manifest's ``upload.qemu`` says which ``program`` with which ``arguments``; ``upload_flags`` come behind them.
    """
    recipe = board.get("upload.qemu")
    extra = [env.subst(flag) for flag in env.get("UPLOAD_FLAGS", [])]
    quiet = ["-display", "none", "-monitor", "none", "-serial", "stdio"]
    command = [recipe["program"], *recipe["arguments"], *quiet, *extra, "-kernel", elf.get_abspath()]
    missing = (
        "  why:  this board is one of QEMU's\n"
        "  next: install it (Debian, Ubuntu: apt install qemu-system-arm qemu-system-misc; macOS: brew install qemu)\n"
    )
    return run_program(env, command, missing, "error: the program ended with code {code}\n")


# OpenOCD ------------------------------------------------------------------------------------------------------------


def tcl_word(text):
    """``text`` as one Tcl word. Braces keep spaces and dollars; odd braces or backslashes are escaped one by one."""
    text = text.replace("\\", "/") if os.name == "nt" else text
    if not set(text) & set("{}\\"):
        return "{" + text + "}"
    return "".join("\\" + character if character in ' {}\\[]$";#' else character for character in text)


def openocd_arguments(elf, recipe, scripts=None, extra=()):
    """OpenOCD's arguments: halt, unprotect, program, verify, reset.

    Args:
        elf: path of the firmware.
        recipe: the manifest's ``upload.openocd``: ``config``, ``unprotect`` (sectors of user code; what lies before
        them,
            the bootloader, stays protected) and ``reset`` (commands).
        scripts: OpenOCD's folder of scripts, where it is not the built-in one.
    """
    file = tcl_word(elf)
    commands = [
        "halt",
        recipe["protect"],
        f"flash write_image erase {file}",
        f"verify_image {file}",
        *recipe["reset"],
        "shutdown",
    ]
    arguments = ["-s", scripts] if scripts else []
    arguments += [*extra, "-f", recipe["config"]]
    for command in commands:
        arguments += ["-c", command]
    return arguments


def run_openocd(env, board, platform, elf):
    """Program a real board; OpenOCD's own text and exit code reach the user."""
    package = platform.get_package_dir("tool-openocd-riscv")
    scripts = None
    for folder in ("share/openocd/scripts", "openocd/scripts", "scripts"):
        if package and os.path.isdir(os.path.join(package, folder)):
            scripts = os.path.join(package, folder)
            break
    extra = [env.subst(flag) for flag in env.get("UPLOAD_FLAGS", [])]
    command = ["openocd", *openocd_arguments(elf.get_abspath(), board.get("upload.openocd"), scripts, extra)]
    missing = (
        "  why:  it programs the board over USB\n"
        "  next: install it (Debian, Ubuntu: apt install openocd; macOS: brew install open-ocd)\n"
    )
    failed = (
        "error: openocd ended with code {code}\n"
        "  next: is the board plugged in, and may you use it? (Linux: udev rules, docs/platformio.md)\n"
    )
    return run_program(env, command, missing, failed)


# The virtual board --------------------------------------------------------------------------------------------------


def state_folder(env):
    """``.pio/uc_nn/<env>/virtual``: port file, process id and log of the board that runs."""
    return os.path.join(env.subst("$PROJECT_WORKSPACE_DIR"), "uc_nn", env.subst("$PIOENV"), "virtual")


def read_state(folder):
    try:
        with open(os.path.join(folder, "board.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def command_line(pid):
    """The command line of a process, or an empty text if there is none (or the system does not say)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode("utf-8", "replace").replace("\0", " ")
    except OSError:
        pass
    query = ["ps", "-o", "command=", "-p", str(pid)]
    if os.name == "nt":
        query = ["wmic", "process", "where", f"processid={pid}", "get", "commandline"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def stop_virtual(folder):
    """Stop the board that the last upload started, if it still runs. A reused process id is left alone."""
    pid = read_state(folder).get("pid")
    if not pid or VIRTUAL_MODULE not in command_line(pid):
        return
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if VIRTUAL_MODULE not in command_line(pid):
                return
            time.sleep(0.05)
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    except OSError:
        pass


def forget_virtual(folder):
    """Stop the board and remove what its uploads wrote."""
    stop_virtual(folder)
    for name in STATE_FILES:
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def choose_port(previous):
    """The port of the last board if it is free, so that an open monitor reconnects; else one that the system gives."""
    for port in (previous, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            if os.name != "nt":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    return 0


def find_python(env, platform):
    """The interpreter that has the virtual board: what the user named, the converter's, or the one that ran set-up."""
    named = os.environ.get("UC_NN_PYTHON") or env.GetProjectOption("custom_uc_nn_python", "")
    if named:
        return named
    if env.get("UC_NN_PYTHON"):
        return env["UC_NN_PYTHON"]
    try:
        with open(os.path.join(platform.get_dir(), "uc_nn_setup.json"), encoding="utf-8") as file:
            return json.load(file)["python"]
    except (OSError, ValueError, KeyError):
        return None


def virtual_command(env, board, python, elf, port, folder):
    """The command of the virtual board, from the project's options."""
    project = env.subst("$PROJECT_DIR")
    command = [python, "-m", VIRTUAL_MODULE, "run", elf, "--board", board.id, "--uart", f"tcp:{port}"]
    command += ["--port-file", os.path.join(folder, "port")]
    scene = env.GetProjectOption("custom_uc_nn_scene", "")
    if scene:
        command += ["--scene", os.path.join(project, scene)]
    else:
        command += ["--no-camera"]
    polarity = env.GetProjectOption("custom_uc_nn_polarity", "")
    if polarity:
        command += ["--polarity", polarity]
    command += ["--idle-exit", str(env.GetProjectOption("custom_uc_nn_idle_exit", "300"))]
    command += shlex.split(env.GetProjectOption("custom_uc_nn_virtual_args", ""))
    log = os.environ.get("UC_NN_VIRTUAL_LOG")
    if log:
        command += ["--log", log]
    return command


def start_virtual(env, board, platform, elf):
    """Start the virtual board in the background, in place of the one before, and wait until its UART listens."""
    folder = state_folder(env)
    os.makedirs(folder, exist_ok=True)
    previous = read_state(folder).get("port")
    stop_virtual(folder)
    python = find_python(env, platform)
    if not python or not os.path.exists(python):
        sys.stderr.write(
            f"error: no Python with the virtual board was found (tried {python or 'nothing'})\n"
            "  next: run uc-nn setup again, or set custom_uc_nn_python in platformio.ini\n"
        )
        return 1
    for name in ("port", "board.json"):
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    command = virtual_command(env, board, python, elf.get_abspath(), choose_port(previous), folder)
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONHOME", "PYTHONPATH", "PYTHONEXEPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    }
    detach = {"start_new_session": True}
    if os.name == "nt":
        detach = {"creationflags": 0x00000008 | 0x00000200}  # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
    log_path = os.path.join(folder, "log.txt")
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=clean, stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True, **detach
        )
    port = wait_for_port(process, os.path.join(folder, "port"))
    if port is None:
        return say_why_not(process, log_path)
    with open(os.path.join(folder, "board.json"), "w", encoding="utf-8") as file:
        json.dump({"pid": process.pid, "port": port, "url": f"socket://127.0.0.1:{port}"}, file)
    print(f"Virtual board: socket://127.0.0.1:{port} (process {process.pid}); watch it with: pio device monitor")
    return 0


def wait_for_port(process, port_file):
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with open(port_file, encoding="utf-8") as file:
                return int(file.read())
        except (OSError, ValueError):
            time.sleep(0.02)
    return None


def say_why_not(process, log_path):
    if process.poll() is None:
        process.kill()
        ending = f"did not open its port within {START_TIMEOUT_S:.0f} s"
    else:
        ending = f"ended with code {process.returncode}"
    with open(log_path, encoding="utf-8", errors="replace") as file:
        tail = "".join(file.readlines()[-20:])
    sys.stderr.write(f"{tail}error: the virtual board {ending}\n  next: its whole output is in {log_path}\n")
    return 1
