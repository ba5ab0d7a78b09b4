"""Laws of processes: signals of schedulers act like Ctrl-C, and no child outlives its parent."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from elicit import cli, processes
from elicit.errors import DataError, system_fault
from elicit.experiment import workers
from elicit.experiment.run_folder import RunFolder
from elicit.files import write_json

PARENT = """
import os, subprocess, sys
from elicit import processes
child = "import os, sys, time; from elicit import processes; processes.end_with_parent(int(sys.argv[1]))"
child += "; print(os.getpid(), flush=True); {busy}"
subprocess.Popen([sys.executable, "-c", child, str(os.getpid())])
sys.stdin.read()
"""


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """The handlers of a foreground process, whatever started the tests: nohup ignores SIGHUP, a shell's & SIGINT."""
    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_with_its_own_exit_code(
    number: int, code: int, ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ignored and number != signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupted(arguments: list[str]) -> int:
        os.kill(os.getpid(), number)
        time.sleep(60)
        return 0

    monkeypatch.setattr(cli, "dispatch", interrupted)
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)]
    assert cli.main(["demo"]) == code
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_stage_that_finishes_its_batch_after_ctrl_c_does_so_after_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        with processes.signals_as_interrupts() as received:
            os.kill(os.getpid(), signal.SIGTERM)
            while not noted:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
    assert noted == [signal.SIGINT] and received == [signal.SIGTERM]


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.signals_as_interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("busy", ["time.sleep(600)", "9 ** 9 ** 9"])
def test_a_process_ends_when_its_parent_is_killed(busy: str) -> None:
    """Also in the middle of one long computation in C, which no Python thread can interrupt."""
    command = [sys.executable, "-c", PARENT.replace("{busy}", busy)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists() or sys.platform != "linux"
    parent.kill()
    parent.wait()
    parent.stdout.read()  # returns when the last process that can write to it has ended: the child


def test_a_claim_needs_the_lease_of_the_command_that_runs_now(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"status": "planned"})
    run = RunFolder(tmp_path)
    workers.release([run], "first")
    workers.release([run], "second")
    assert not workers.claim(run, "first")
    assert workers.claim(run, "second") and not workers.claim(run, "second")


def test_there_are_at_most_as_many_processes_as_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Ended:
        returncode = 0

        def __init__(self, command: list[str], **options: object) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Ended)
    for name in "ab":
        write_json(tmp_path / name / "manifest.json", {"status": "planned"})
    runs = [RunFolder(tmp_path / name) for name in "ab"]
    with workers.helping(4, runs[:1]):
        assert started == []
    with workers.helping(4, runs) as lease:
        (command,) = started
    assert "-P" in command and command[command.index("elicit.experiment.workers") + 2] == lease


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EFBIG, errno.EMFILE, errno.ENOTDIR])
def test_a_fault_of_the_machine_is_one_line_with_path_and_remedy(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(arguments: list[str]) -> int:
        raise OSError(number, os.strerror(number), "runs/x")

    monkeypatch.setattr(cli, "dispatch", fails)
    assert cli.main(["demo"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("elicit: runs/x: ") and ";" in line


def test_a_fault_that_is_no_fault_of_the_machine_keeps_its_traceback() -> None:
    assert system_fault(OSError(errno.EPIPE, "")) is None
    assert isinstance(system_fault(OSError(errno.ENOSPC, "")), DataError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_output_device_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "elicit.cli", "list", "models"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "the output" in done.stderr


POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""a terminal of 1990: ASCII for output, arguments and names of files"""


@pytest.mark.parametrize("terminal", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, POSIX])
def test_a_terminal_without_unicode_is_no_fault(tmp_path: Path, terminal: dict[str, str]) -> None:
    environment = os.environ | terminal
    done = subprocess.run(
        [sys.executable, "-m", "elicit.cli", "report", "größe", f"root={tmp_path}"],
        env=environment, capture_output=True, encoding="latin-1",
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr and "no comparison or run" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a root that nobody can write to")
@pytest.mark.parametrize("root", ["/proc/none", "/proc/self/status", "/dev/null/x"])
def test_a_root_that_can_not_be_written_to_is_one_line(root: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["method=decoding", "method/strategy=greedy", "model=organism", "task=chain", "tracker=none"]
    assert cli.main([*words, f"root={root}"]) in (1, 2)
    (line,) = capfd.readouterr().err.splitlines()
    assert root in line and ("root=" in line or "can't be made" in line)


LIMITED = """
import resource, sys
from elicit.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""


def test_a_limit_on_file_sizes_is_one_line(tmp_path: Path) -> None:
    from tests.report.example import on_disk

    folder = on_disk(tmp_path / "runs", small=True)
    command = [sys.executable, "-c", LIMITED, "report", str(folder), f"out={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    line = done.stderr.splitlines()[-1]  # matplotlib may warn before that it can't write its own cache
    assert (
        done.returncode == 1
        and "Traceback" not in done.stderr
        and "limit on file sizes" in line
        and str(tmp_path) in line
        and folder.exists()
    )


def test_caches_of_torch_are_in_the_user_s_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    processes.keep_caches_private()
    folder = tmp_path / "elicit" / "torchinductor"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(folder) and folder.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/mine")
    processes.keep_caches_private()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/mine"


@pytest.mark.parametrize("word", ["libarrow.so: failed to map segment from shared object", "x: Cannot allocate memory"])
def test_a_library_that_a_memory_limit_leaves_no_room_for_is_a_clear_error(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `ulimit -v 800000` does to the import of pyarrow."""

    def starved(arguments: list[str]) -> int:
        raise ImportError(word)

    monkeypatch.setattr(cli, "dispatch", starved)
    assert cli.main(["compare", "a"]) == 1
    assert word in (shown := capsys.readouterr().err) and "ulimit -v" in shown and shown.count("\n") == 1


def test_a_module_that_is_missing_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(arguments: list[str]) -> int:
        raise ImportError("No module named 'nothing'")

    monkeypatch.setattr(cli, "dispatch", missing)
    with pytest.raises(ImportError, match="nothing"):
        cli.main(["compare", "a"])
