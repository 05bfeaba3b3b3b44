"""Tests of scripts/setup, and of how the commands stop the processes that they started."""

import fcntl
import os
from pathlib import Path
import shlex
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from .live.environment import CommandError, Environment

ROOT = Path(__file__).parents[1]
# Records its first argument. `venv` creates the environment, and `pip` ends with a chosen status.
UV = """\
#!/bin/sh
echo "$1" >>calls
for venv; do :; done
if [ "$1" = venv ]; then mkdir -p "$venv/bin" && cp python3.14 "$venv/bin/python"; fi
if [ "$1" = pip ]; then exit "$(cat status)"; fi
"""
COMMAND = """\
import asyncio, signal, sys
from pathlib import Path
import aiohttp
from tests.live.environment import Environment, run_command, say

# If the tests run in the background, the process inherits that these are ignored.
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)

async def run():
    environment = Environment(folder=Path(sys.argv[1]), port=1, simulator_port=int(sys.argv[2]))
    async with aiohttp.ClientSession() as session, environment.run_simulator(session):
        say("ready")
        await asyncio.Event().wait()

sys.exit(run_command("test", run()))
"""


# Setup


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder, whose path has a space, with scripts/setup and an installer that records."""
    folder = tmp_path / "a clone"
    tools = folder / ".python" / "tools" / "bin"
    tools.mkdir(parents=True)
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", folder / "scripts")
    for name in ("test", "bench"):
        (folder / f"requirements_{name}.txt").touch()
    programs = {
        folder / "python3.14": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n',
        tools / "uv": UV,
        tools / "patchelf": "#!/bin/sh\n",
    }
    for path, text in programs.items():
        path.write_text(text)
        path.chmod(0o755)
    (folder / "status").write_text("0")
    return folder


def start_setup(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start scripts/setup."""
    return subprocess.Popen(
        [str(folder / "scripts" / "setup"), *arguments],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
    )


def run_setup(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run scripts/setup, and return its exit status and its messages."""
    process = start_setup(folder, *arguments)
    _, messages = process.communicate()
    return process.returncode, messages


def calls(folder: Path) -> list[str]:
    """Return the recorded calls of the installer."""
    return (folder / "calls").read_text().split()


def test_setup_installs_once(folder: Path) -> None:
    assert run_setup(folder)[0] == 0
    assert run_setup(folder) == (0, "")
    assert calls(folder) == ["venv", "pip"]


def test_setup_with_changed_requirements_keeps_environment(folder: Path) -> None:
    assert run_setup(folder)[0] == 0
    (folder / "requirements_test.txt").write_text("package==1\n")
    assert run_setup(folder)[0] == 0
    assert calls(folder) == ["venv", "pip", "pip"]


@pytest.mark.parametrize("update", [False, True])
def test_setup_after_incomplete_installation_starts_with_empty_environment(
    folder: Path, update: bool
) -> None:
    if update:
        assert run_setup(folder)[0] == 0
        (folder / "requirements_test.txt").write_text("package==1\n")
    before = len(calls(folder)) if update else 0
    (folder / "status").write_text("1")
    status, messages = run_setup(folder)
    assert status == 1
    assert "could not be installed. Check the network and .python/setup.log" in messages
    (folder / "status").write_text("0")
    assert run_setup(folder)[0] == 0
    assert calls(folder)[before:][-3:] == ["pip", "venv", "pip"]


def test_setup_waits_for_another_setup(folder: Path) -> None:
    with (folder / ".python" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start_setup(folder)
        assert process.stderr is not None
        assert process.stderr.readline() == "Waiting until another scripts/setup ends …\n"
        assert not (folder / "calls").exists()
    process.communicate()
    assert process.returncode == 0
    assert calls(folder) == ["venv", "pip"]


def test_setup_with_unknown_name_lists_names(folder: Path) -> None:
    assert run_setup(folder, "nonsense") == (
        1,
        "setup: there is no requirements_nonsense.txt. Choose one of these names: bench test\n",
    )
    assert not (folder / ".venvs").exists()


# Commands


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_command_without_reader_stops_its_processes_after_signal(
    socket_enabled: None, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path), str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stderr:
        assert process.stdout.readline() == "ready\n"
        # As when Ctrl-C also ends `tee`.
        process.stdout.close()
        process.send_signal(number)
        assert process.stderr.read() == ""
        assert process.wait() == 0
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("port", "simulator_port", "message"),
    [
        (0, 8124, "0 is not a port. Choose one from 1 to 65534"),
        (65535, 65536, "65536 is not a port. Choose one from 1 to 65534"),
        (8123, 8123, "cannot use the same port"),
    ],
)
def test_wrong_port_is_explained(
    socket_enabled: None, tmp_path: Path, port: int, simulator_port: int, message: str
) -> None:
    environment = Environment(folder=tmp_path / "demo", port=port, simulator_port=simulator_port)
    with pytest.raises(CommandError, match=message):
        environment.prepare("")
    assert not environment.folder.exists()


def test_port_in_use_is_explained(socket_enabled: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        environment = Environment(folder=tmp_path / "demo", port=port, simulator_port=1)
        with pytest.raises(CommandError, match=f"Port {port} is in use. Choose other ports"):
            environment.prepare("")
    assert not environment.folder.exists()
