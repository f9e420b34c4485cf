"""The load: wrk on its core, and what the proxy used meanwhile."""

import dataclasses
import json
import subprocess

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
    def __init__(self, world, connections):
        self.world, self.connections = world, connections
        self.wrk = tools.tool("wrk")

    def run(self, port, seconds):
        """wrk's own counts; any answer but a success is a failure of the measurement."""
        command = [
            "setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(self.world.core), self.wrk, "-t1",
            f"-c{self.connections}", f"-d{seconds}s", "--latency", "-s", str(tools.HERE / "requests.lua"),
            f"http://127.0.0.1:{port}/", "--", str(self.world.tokens_file),
        ]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
        lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
        if finished.returncode or not lines:
            raise Failure(f"wrk failed: {finished.stderr or finished.stdout}")
        counts = json.loads(lines[-1])
        if "Non-2xx" in finished.stdout or any(counts[kind] for kind in TROUBLE) or not counts["requests"]:
            raise Failure(f"not every request succeeded: {counts}")
        return counts

    def measure(self, peer, seconds):
        beside = peer.beside
        before = peer.process.cpu_nanos(), beside.cpu_nanos() if beside else 0
        try:
            counts = self.run(peer.port, seconds)
        except Failure as failure:
            raise Failure(f"{peer.name}: {failure}\n{peer.process.output()}") from None
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
