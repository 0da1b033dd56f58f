"""The command line where a stream is closed or full, and when Ctrl-C comes: one sentence or none, never a traceback."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.command_line import run

SECONDS = 60
COMMAND = [sys.executable, "-m", "convpolicy"]
FULL = Path("/dev/full")


def closed(number):
    """Return what closes a stream of the child."""
    return lambda: os.close(number)


@pytest.mark.skipif(os.name != "posix", reason="a shell closes streams elsewhere in another way")
@pytest.mark.grid(every=2)
@pytest.mark.parametrize("words", [["list", "rules"], ["papers"], ["plan", "torch", "--kernel-size", "3", "--length", "4"]])
def test_a_closed_stdout(words):
    """What has something to print says so; status 2."""
    result = subprocess.run(
        [*COMMAND, *words], preexec_fn=closed(1), stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False
    )
    assert (result.returncode, result.stderr) == (2, "convpolicy: standard output: Bad file descriptor.\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell closes streams elsewhere in another way")
def test_a_closed_stdout_takes_nothing_from_a_file(tmp_path):
    """A command that prints nothing writes its file, which does not get the number of stdout."""
    words = ["init", "torch", "--in", "1", "--out", "1", "--kernel-size", "1", "-o", str(tmp_path / "a.safetensors")]
    for streams in ((1,), (1, 2), (0, 1, 2)):
        result = subprocess.run(
            [*COMMAND, *words],
            preexec_fn=lambda streams=streams: [os.close(number) for number in streams],
            timeout=SECONDS,
            check=False,
        )
        assert result.returncode == 0
        data = (tmp_path / "a.safetensors").read_bytes()
        assert int.from_bytes(data[:8], "little") + 8 + 8 == len(data)
        (tmp_path / "a.safetensors").unlink()


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("words", [["list"], ["show", "torch", "--json"], ["--help"]])
def test_a_full_stdout(words):
    """One sentence that names it, status 2."""
    with FULL.open("w") as full:
        result = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    assert (result.returncode, result.stderr) == (2, "convpolicy: standard output: No space left on device.\n")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("imported", ["click", "numpy", "pluggy", "convpolicy.frameworks.torch.plugin"])
def test_interrupted_while_it_starts(tmp_path, imported):
    """Ctrl-C during imports or while plugins load ends the command with status 130 and no output."""
    code = f"""
import importlib.abc, os, signal, sys
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {imported!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["convpolicy", "list"]
from convpolicy.cli.start import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interrupted_while_it_works():
    """Ctrl-C while a command waits for its input: status 130, no traceback."""
    import fcntl
    import termios

    process = subprocess.Popen(
        [*COMMAND, "translate", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdin.write("x")
    process.stdin.flush()
    unread = array.array("i", [1])
    while unread[0]:  # once the command reads its input, it waits for more
        time.sleep(0.01)
        fcntl.ioctl(process.stdin, termios.FIONREAD, unread)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_a_call_longer_than_a_file_name():
    """A call of more than 255 characters is read as a call."""
    result = subprocess.run(
        [*COMMAND, "translate", "nn.Conv1d(4, 8, 3" + " " * 300 + ")"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0
    assert "nn.Conv1d" in result.stdout


@pytest.mark.parametrize(
    "words",
    [["show", "a\x1b[2J"], ["a\x1b[2J"], ["list", "\u202e"], ["plan", "torch", "--kernel-size", "\x1b[2J"], ["--\x1b[2J"]],
)
def test_words_with_escape_codes(words):
    """What is repeated of them is written out, by the library's sentences and by click's."""
    result = run(*words)
    assert result.exit_code == 2
    assert not set("\x1b\u202e") & set(result.stderr)
    assert "\\x1b[2J" in result.stderr or "\\u202e" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal")
@pytest.mark.parametrize(("words", "paged"), [(["list"], True), (["plan", "torch", "--length", "5"], False)])
def test_a_pager_shows_what_is_longer_than_the_screen(words, paged):
    """On a terminal of 24 lines and 80 columns a long list goes through $PAGER and a short one does not; no line of it is wider."""
    import fcntl
    import pty
    import struct
    import termios

    terminal, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"PAGER": "nl", "TERM": "xterm", "PYTHONUTF8": "1"}
    process = subprocess.Popen([*COMMAND, *words], stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the end of a pseudo-terminal
        pass
    finally:
        os.close(terminal)
    assert process.wait(timeout=SECONDS) == 0
    lines = shown.decode().splitlines()
    assert any(line.strip().startswith("1\t") for line in lines) == paged
    assert not paged or max(len(line.rpartition("\t")[2]) for line in lines) <= 80
