"""Processes pinned to a core, ended with the script that started them, and what they use."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

DEADLINE = 20  # seconds until a process must be ready
STOP_DEADLINE = 5  # seconds until a process that does not end is killed

_ports = set()


class Failure(Exception):
    """Told to the user as one line; the exit status is 1."""


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _ports:
            _ports.add(port)
            return port


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(what, condition, deadline=DEADLINE, pause=0.02):
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{what}: not so within {deadline} s")
        time.sleep(pause)


@contextlib.contextmanager
def cores_awake():
    """Cores without work wait for it in a loop, as in a machine set up for latency; whether they do.

    On a virtual machine, to wake a core that sleeps takes the waker as long as a tenth of a request. The
    more a proxy waits for the load's core, the more of that it would pay.
    """
    try:
        wish = open("/dev/cpu_dma_latency", "wb", buffering=0)
    except OSError:
        yield False
        return
    with wish:
        wish.write(struct.pack("=i", 0))  # microseconds; holds until the file is closed
        yield True


class Process:
    """One program with all its children."""

    def __init__(self, name, popen, log):
        self.name, self.popen, self.log = name, popen, log

    @property
    def pid(self):
        return self.popen.pid

    def cpu_nanos(self):
        """What all threads have run so far. Loopback traffic counts: the kernel does it in their name."""
        return sum(_thread_nanos(pid) for pid in _tree(self.pid))

    def memory_kb(self):
        """Resident, pages that several processes share counted once."""
        return sum(_pss_kb(pid) for pid in _tree(self.pid))

    def check_alive(self):
        status = self.popen.poll()
        if status is not None:
            raise Failure(f"{self.name} ended with status {status}:\n{self.output()}")

    def output(self, limit=3000):
        return self.log.read_text(errors="replace")[-limit:]

    def stop(self):
        """Asks politely, then not."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(timeout=STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()


class Stage:
    """Where processes run; when it is left, they all end and their folder goes."""

    def __init__(self, folder, load_core):
        self.folder, self.load_core = pathlib.Path(folder), load_core
        self._exit = contextlib.ExitStack()

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        self._exit.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def __exit__(self, *exception):
        # A second interrupt must not leave half of the processes behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._exit.close()

    def start(self, name, arguments, core, *, env=None, cwd=None, ready=None, pause=0.02,
              discard_output=False):
        """`discard_output` sends standard output through a pipe that somebody else reads."""
        log = self.folder / f"{name}.log"
        # Should this script be killed, its processes get SIGTERM all the same.
        command = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *map(str, arguments)]
        with log.open("wb") as file:
            popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if discard_output else file,
                stderr=file, env=env, cwd=cwd or self.folder, start_new_session=True)
        process = Process(name, popen, log)
        self._exit.callback(process.stop)
        if discard_output:
            self._drain(process)
        if ready:
            self._wait_ready(process, ready, pause)
        return process

    def _drain(self, process):
        """Reads as a container runtime would, from the other core; keeps the beginning for error messages."""
        reader = ["sh", "-c", f"head -c 20000 >>'{process.log}'; exec cat >/dev/null"]
        popen = subprocess.Popen(["taskset", "-c", str(self.load_core), *reader], stdin=process.popen.stdout,
                                 start_new_session=True)
        process.popen.stdout.close()
        self._exit.callback(popen.wait)
        self._exit.callback(process.stop)

    @staticmethod
    def _wait_ready(process, ready, pause):
        def is_ready():
            process.check_alive()
            return ready()
        try:
            wait_until(f"{process.name} is ready", is_ready, pause=pause)
        except Failure as failure:
            raise Failure(f"{failure}\n{process.output()}") from None


def _tree(root):
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything; the parent is the second field after it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def _thread_nanos(pid):
    total = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total


def _pss_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise Failure(f"the kernel does not tell the memory of process {pid}")
