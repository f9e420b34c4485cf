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
    """The binaries of one cargo profile; `gateway` is another build of the gateway."""

    def __init__(self, profile, gateway=None, build=True):
        wanted = ["--example", "bare_pingora", "--example", "issuer"]
        if not gateway:
            wanted += ["--bin", "auth-gateway"]
        if build and subprocess.run(["cargo", "build", "--locked", "--profile", profile, *wanted], cwd=ROOT).returncode:
            raise Failure("the build failed")
        folder = target_folder() / profile
        self.gateway = gateway or folder / "auth-gateway"
        self.bare = folder / "examples" / "bare_pingora"
        self.issuer = folder / "examples" / "issuer"
        for binary in (self.gateway, self.bare, self.issuer):
            if not binary.exists():
                raise Failure(f"{binary} does not exist")


def add_build_options(parser):
    parser.add_argument("--profile", default="release", choices=["release", "fast"])
    parser.add_argument("--pgo", action="store_true", help="the gateway that scripts/build-pgo has built")
    parser.add_argument("--gateway", type=pathlib.Path, metavar="FILE", help="a gateway that is built already")
    parser.add_argument("--no-build", action="store_true", help="measure the binaries as they are")


def build(options):
    gateway = target_folder() / "pgo" / "auth-gateway" if options.pgo else options.gateway
    return Built(options.profile, gateway and gateway.resolve(), not options.no_build)


def render(name, folder, **values):
    """Copies conf/NAME to `folder` with its @WORDS@ replaced."""
    text = (HERE / "conf" / name).read_text()
    for word, value in values.items():
        text = text.replace(f"@{word}@", str(value))
    path = folder / name
    path.write_text(text)
    return path
