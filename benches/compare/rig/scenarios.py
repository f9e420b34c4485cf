"""What is asked of the proxies."""

import dataclasses

from .peers import PEERS

MEBIBYTE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Requests of one kind, and whom to put beside the gateway for them."""

    peers: tuple[str, ...]
    method: str = "GET"
    path: str = "/api/reports/2026/11?page=2"
    request_bytes: int = 0
    # Every token comes once, with a subject that has been seen before: nothing is known of the token,
    # and OpenFGA's answer is.
    once: bool = False
    connections: int = 64


SCENARIOS = {
    "warm": Scenario(tuple(PEERS)),
    "cold": Scenario(("gateway", "bare", "haproxy", "nginx-auth-jwt"), once=True),
    "download": Scenario(("gateway", "bare"), path="/api/reports/large", connections=16),
    "upload": Scenario(("gateway", "bare"), method="POST", path="/api/reports", request_bytes=MEBIBYTE,
                       connections=16),
}
