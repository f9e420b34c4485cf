"""Where the programs are: built here, installed by scripts/install-tools, or the system's."""

import json
import os
import pathlib
import shutil
import subprocess

from .processes import Failure

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = ROOT / "benches" / "compare"


def tool(name):
    folder = subprocess.run([ROOT / "scripts/tools-path"], check=True, capture_output=True, text=True)
    path = os.pathsep.join([folder.stdout.strip(), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if not found:
        raise Failure(f"{name} is missing: scripts/install-tools test bench")
    return found


def python_tool(name, package, pattern):
    """The program itself where the installed one is a Python script, which costs memory."""
    venv = pathlib.Path(os.path.realpath(tool(name))).parents[1]
    found = [p for p in venv.glob(f"lib/python3*/site-packages/{package}/{pattern}") if os.access(p, os.X_OK)]
    return found[0] if found else tool(name)


def target_folder():
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    metadata = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return pathlib.Path(json.loads(metadata.stdout)["target_directory"])


class Built:
    """The binaries of one cargo profile; the gateway as it ships, or plain, or a file that is there."""

    def __init__(self, profile, gateway=None, build=True):
        self.folder = target_folder()
        self.bare = self.folder / profile / "examples" / "bare_pingora"
        self.issuer = self.folder / profile / "examples" / "issuer"
        cargo = ["cargo", "build", "--locked", "--profile", profile]
        if build:
            self._run(*cargo, "--example", "bare_pingora", "--example", "issuer")
        if gateway == "shipped":
            if build:
                self._run("scripts/build-release")
            host = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
            host = next(line.split()[1] for line in host.splitlines() if line.startswith("host:"))
            gateway = self.folder / host / "release" / "auth-gateway"
        elif gateway is None:
            if build:
                self._run(*cargo, "--bin", "auth-gateway")
            gateway = self.folder / profile / "auth-gateway"
        self.gateway = gateway
        for binary in (self.gateway, self.bare, self.issuer):
            if not binary.exists():
                raise Failure(f"{binary} does not exist")

    @staticmethod
    def _run(*command):
        if subprocess.run(command, cwd=ROOT).returncode:
            raise Failure("the build failed")


def add_build_options(parser):
    parser.add_argument("--profile", default="release", choices=["release", "fast"])
    parser.add_argument("--plain", action="store_true", help="a gateway built without the training's profile")
    parser.add_argument("--gateway", type=pathlib.Path, metavar="FILE", help="a gateway that is built already")
    parser.add_argument("--no-build", action="store_true", help="measure the binaries as they are")


def which_gateway(options):
    """In words, for the report."""
    return str(options.gateway or (options.profile if options.plain or options.profile != "release" else "shipped"))


def build(options):
    gateway = options.gateway and options.gateway.resolve()
    if which_gateway(options) == "shipped":
        gateway = "shipped"
    return Built(options.profile, gateway, not options.no_build)


def render(name, folder, **values):
    """Copies conf/NAME to `folder` with its @WORDS@ replaced."""
    text = (HERE / "conf" / name).read_text()
    for word, value in values.items():
        text = text.replace(f"@{word}@", str(value))
    path = folder / name
    path.write_text(text)
    return path
