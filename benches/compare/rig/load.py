"""The load: wrk on its core, and what the proxy used meanwhile."""

import dataclasses
import json
import signal
import subprocess
import threading

from . import tools
from .processes import Failure

TROUBLE = ("refused", "connect", "read", "write", "timeout")


@dataclasses.dataclass
class Round:
    """One measurement."""

    requests_per_second: float
    cpu_micros: float
    beside_cpu_micros: float  # of the service that the proxy asks for every request
    busy: float  # part of its core that the proxy used
    p50_micros: int
    p99_micros: int


class Load:
    def __init__(self, world, scenario, connections):
        self.world, self.scenario, self.connections = world, scenario, connections
        self.wrk = tools.tool("wrk")

    def warm_up(self, peer, seconds):
        """Unmeasured, with tokens that come again."""
        self._checked(peer, self.world.tokens_file, seconds, "rotate")

    def measure(self, peer, seconds, number):
        """Round `number`; one with tokens that come once is over when all of them have been sent."""
        tokens, order = self.world.tokens_file, "rotate"
        if self.scenario.once:
            tokens, order = self.world.unseen_files[number], "once"
        beside = peer.beside
        before = peer.process.cpu_nanos(), beside.cpu_nanos() if beside else 0
        counts = self._checked(peer, tokens, seconds, order)
        used = peer.process.cpu_nanos() - before[0]
        used_beside = (beside.cpu_nanos() if beside else 0) - before[1]
        peer.process.check_alive()
        requests = counts["requests"]
        return Round(
            requests_per_second=requests / counts["micros"] * 1e6,
            cpu_micros=used / requests / 1e3,
            beside_cpu_micros=used_beside / requests / 1e3,
            busy=used / counts["micros"] / 1e3,
            p50_micros=counts["p50"],
            p99_micros=counts["p99"],
        )

    def _checked(self, peer, tokens, seconds, order):
        try:
            return self._run(peer.port, tokens, seconds, order)
        except Failure as failure:
            raise Failure(f"{peer.name}: {failure}\n{peer.process.output()}") from None

    def _run(self, port, tokens, seconds, order):
        """wrk's own counts; any answer but a success is a failure of the measurement."""
        scenario = self.scenario
        command = [
            "setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(self.world.core), self.wrk, "-t1",
            f"-c{self.connections}", f"-d{seconds}s", "--latency", "-s", str(tools.HERE / "requests.lua"),
            f"http://127.0.0.1:{port}/", "--",
            str(tokens), scenario.method, scenario.path, str(scenario.request_bytes), order,
        ]
        output = _output(command, seconds + 30)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise Failure(f"wrk failed: {output}")
        counts = json.loads(lines[-1])
        if "Non-2xx" in output or any(counts[kind] for kind in TROUBLE) or not counts["requests"]:
            raise Failure(f"not every request succeeded: {counts}")
        if order == "once" and "all sent" not in output:
            raise Failure(f"not all tokens were sent in {seconds} s: {counts}")
        return counts


def _output(command, timeout):
    """What wrk writes. It counts time until its end is due or it is interrupted, whichever comes first."""
    wrk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = threading.Timer(timeout, wrk.kill)
    deadline.start()
    try:
        text = ""
        for line in wrk.stdout:
            text += line
            if line == "all sent\n":
                wrk.send_signal(signal.SIGINT)
        if wrk.wait():
            raise Failure(f"wrk failed: {text}")
        return text
    finally:
        deadline.cancel()
