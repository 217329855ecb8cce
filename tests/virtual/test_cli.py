"""The command line: UART on stdout and TCP, logs, signals, exit codes, nothing left running."""

import json
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import serial

from uc_nn_pio.virtual.uart_link import Replay, TcpLink

COMMAND = [sys.executable, "-m", "uc_nn_pio.virtual", "run"]
HELLO = b"hello\ndata=1234abcd\nbss=00000000\ndone\n"
CHATTER = """int main(void) { uart_init(RESET_HZ); uint32_t n = 0;
  for (;;) { show("line", n++); uint32_t t = MTIME; while (MTIME - t < 330) {
    uint32_t c = UART0(RXDATA); if (!(c >> 31)) { put('<'); put((char)c); put('>'); } } } }"""


@pytest.fixture
def start():
    """Start a board in the background; whatever is left at the end is killed and fails the test."""
    processes = []

    def go(*arguments):
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        processes.append(process)
        return process

    yield go
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def port_of(process):
    line = process.stdout.readline()
    assert line.startswith(b"uart: socket://127.0.0.1:")
    return int(line.rsplit(b":", 1)[1])


def read_until(connection, marker, seconds=15.0):
    connection.settimeout(seconds)
    data = b""
    while marker not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def test_uart_on_stdout_and_a_log(build, tmp_path):
    log = tmp_path / "log.jsonl"
    done = subprocess.run(
        [*COMMAND, str(build("hello")), "--seconds", "0.05", "--log", str(log)], capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout == HELLO
    assert b"never fitted" in done.stderr
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert "never fitted" in records[0]["notice"]
    assert records[-1]["end"] == "seconds"
    assert records[-1]["instructions"] > 1000


def test_a_stop_has_exit_code_3_and_no_traceback(build):
    elf = build("test", source="int main(void) { (void)REG(0x40000000); for (;;) {} }")
    done = subprocess.run([*COMMAND, str(elf)], capture_output=True, timeout=60)
    assert done.returncode == 3
    assert b"a load from address 0x40000000" in done.stderr
    assert b"in main" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["no.elf"], b"does not exist"),
        (["no.elf", "--uart", "serial:3"], b"--uart"),
        (["no.elf", "--scene", "no.png"], b"no.png"),
        (["no.elf", "--board", "hifive"], b"did you mean 'hifive1'"),
    ],
)
def test_mistakes_are_explained(arguments, text):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=60)
    assert done.returncode in (2, 3)
    assert text in done.stderr
    assert b"Traceback" not in done.stderr


def test_tcp_replays_everything_since_reset_then_goes_live(start, build, tmp_path):
    port_file = tmp_path / "port"
    board = start(build("chatter", source=CHATTER), "--uart", "tcp:0", "--port-file", port_file, "--idle-exit", 4)
    port = port_of(board)
    assert int(port_file.read_text()) == port
    time.sleep(0.5)
    for _ in range(2):  # a second client gets it all again
        with socket.create_connection(("127.0.0.1", port)) as client:
            connected = time.monotonic()
            data = read_until(client, b"line=0000003")
            assert time.monotonic() - connected >= 0.25
            assert data.startswith(b"line=00000000\nline=00000001\nline=00000002\n")
            client.sendall(b"k")
            assert b"<k>" in read_until(client, b"<k>")
            with socket.create_connection(("127.0.0.1", port)) as second:
                assert b"another client" in read_until(second, b"\n")
    assert board.wait(20) == 0  # nobody for four seconds: it ends by itself
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_pyserial_loses_no_line(start, build):
    """What PlatformIO's monitor does: pyserial's socket:// drops what comes while it opens."""
    board = start(build("hello"), "--uart", "tcp:0", "--idle-exit", 10)
    with serial.serial_for_url(f"socket://localhost:{port_of(board)}", timeout=10) as port:
        assert port.read(len(HELLO)) == HELLO


def test_a_stop_is_told_to_the_monitor_too(start, build):
    elf = build(
        "test", source='int main(void) { uart_init(RESET_HZ); puts_("hi\\n"); (void)REG(0x40000000); for (;;) {} }'
    )
    board = start(elf, "--uart", "tcp:0", "--idle-exit", 5)
    with socket.create_connection(("127.0.0.1", port_of(board))) as client:
        data = read_until(client, b"next:")
    assert data.startswith(b"hi\n\r\nvirtual board: ")
    assert board.wait(10) == 3  # at once, for its client has gone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(start, build, number):
    board = start(build("chatter", source=CHATTER), "--uart", "tcp:0")
    port_of(board)
    time.sleep(0.3)
    board.send_signal(number)
    assert board.wait(10) == 0
    assert b"Traceback" not in board.stderr.read()


def test_two_boards_in_two_processes(start, build):
    boards = [start(build("hello"), "--uart", "tcp:0", "--idle-exit", 1) for _ in range(2)]
    ports = [port_of(board) for board in boards]
    assert ports[0] != ports[1]
    for port in ports:
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert read_until(client, b"done\n") == HELLO
    assert [board.wait(10) for board in boards] == [0, 0]


def test_real_speed_is_the_clock_on_the_wall(start, build):
    board = start(build("chatter", source=CHATTER), "--seconds", 1, "--speed", "real")
    text = board.stdout.readline()
    begun = time.monotonic()
    text += board.stdout.read()
    # at full speed it takes some 50 ms; a loaded machine may see the first line late
    assert 0.5 < time.monotonic() - begun < 10
    assert b"line=00000050" in text  # 10 ms a line and its time on the wire


def test_frames_are_logged_with_their_labels(build, tmp_path):
    from tests.virtual.test_camera import HOLD, TABLE

    items = ",".join(f"{{{register},{value}}}" for register, value in TABLE)
    elf = build("frame", TABLE=items, SELECT=HOLD, DROP=0, FRAMES=3, PLUS=0, PIXELS=0)
    np.savez(tmp_path / "s.npz", images=np.zeros((2, 8, 8), np.uint8), labels=[3, 9])
    log = tmp_path / "log"
    done = subprocess.run(
        [*COMMAND, str(elf), "--scene", str(tmp_path / "s.npz"), "--frames", "2", "--log", str(log)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0
    frames = [json.loads(line) for line in log.read_text().splitlines() if '"frame"' in line]
    assert frames == [{"frame": 0, "item": "s.npz[0]", "label": 3}, {"frame": 1, "item": "s.npz[1]", "label": 9}]


def test_the_replay_keeps_the_first_and_the_newest_and_names_the_gap():
    replay = Replay(head=20, tail=30)
    for i in range(100):
        replay.append(b"line %02d\n" % i)
    text, offset = replay.since(0)
    assert offset == 800
    assert text.startswith(b"line 00\nline 01\nline")
    assert text.endswith(b"line 98\nline 99\n")
    dropped = int(text.split(b"[virtual board: ")[1].split()[0])
    notice = b"\r\n[virtual board: %d bytes dropped here]\r\n" % dropped
    assert len(text) - len(notice) + dropped == 800
    assert replay.since(offset) == (b"", 800)
    replay.append(b"more\n")
    assert replay.since(offset) == (b"more\n", 805)


def test_only_the_local_machine_can_connect():
    link = TcpLink(0)
    try:
        assert link._listener.getsockname()[0] == "127.0.0.1"
    finally:
        link.close()
