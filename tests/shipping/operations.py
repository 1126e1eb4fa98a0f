"""Does what docs/deployment.md says, with its own commands and the files of contrib/, below a folder that takes the place of `/`: from SQLite
to PostgreSQL to two instances behind nginx and Caddy, with backups on the way.

usage: operations.py BINARY
"""

import contextlib
import glob
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from common import PROJECT, carry_out, expect, run

sys.path.append(str(PROJECT / "tests"))
from ports import free_port  # noqa: E402

BINARY = sys.argv[1]
HERE = pathlib.Path(__file__).resolve().parent
API = "/cloudflare-images/api/"
MEGABYTE = 1_000_000
# nginx and the server both see the connections of the tests come from loopback: this one is the proxy's, that one a client's.
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"


def picture(megabytes):
    """A PNG of noise, which cannot be compressed."""
    width = 1000
    height = int(megabytes * MEGABYTE / (3 * width))
    rows = b"".join(b"\0" + secrets.token_bytes(3 * width) for _ in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def form(file):
    """A form with a file in it: its type and its body."""
    start = '--end\r\nContent-Disposition: form-data; name="file"; filename="noise.png"\r\nContent-Type: image/png\r\n\r\n'
    return "multipart/form-data; boundary=end", start.encode() + file + b"\r\n--end--\r\n"


class Machine:
    """A folder with all that the documents place on a machine, and the processes that run there."""

    def __init__(self, root):
        self.root = root
        self.ports = {"8010": str(free_port()), "8011": str(free_port())}
        self.https, self.http, self.caddy = free_port(), free_port(), free_port()
        self.processes = []
        self.token = None
        for folder in ("etc/cfimages/secrets", "etc/nginx", "var/lib/cfimages", "var/backups", "run", "usr/local/bin", "bin"):
            (root / folder).mkdir(parents=True)
        # What commands in the documents find in the folder they are given in.
        os.symlink(BINARY, root / "cfimages")
        os.symlink(PROJECT / "contrib", root / "contrib")
        shutil.copy(BINARY, root / "usr/local/bin/cfimages")
        (root / "etc/cfimages/cfimages.toml").touch()
        self.script("systemctl", f"exec '{sys.executable}' '{HERE / 'systemctl.py'}' \"$@\"")
        self.script("runuser", 'shift 3\nPGUSER=postgres exec "$@"')
        if os.geteuid() == 0:
            root.chmod(0o711)
            (root / "etc/cfimages/secrets").chmod(0o700)
            # The services run as `nobody`: see systemctl.py.
            self.script("chown", 'while [ $# -gt 1 ]; do shift; done\nexec /bin/chown -R nobody "$1"')
        else:
            self.script("chown", ":")
        self.environment = {
            "PATH": f"{root}/bin:{root}/usr/local/bin:{postgres_folder()}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SHIPPING_ROOT": str(root),
            "CFIMAGES_CONFIG": f"{root}/etc/cfimages/cfimages.toml",
            "SSL_CERT_FILE": f"{root}/etc/certificate.pem",
            "PGHOST": f"{root}/run",
            "PGPORT": str(free_port()),
        }

    def script(self, name, text):
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def place(self, text):
        """A text of the documents, with the paths and ports of this machine."""
        for folder in ("/etc/", "/var/", "/usr/local/bin/"):
            text = re.sub(rf"(?<![\w.]){folder}", f"{self.root}{folder}", text)
        for port, ours in self.ports.items():
            text = text.replace(port, ours)
        return text

    def follow(self, heading, number=1):
        """Carries out a block of commands in docs/deployment.md: the `number`th of a section."""
        section = document_section(heading)
        blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
        expect(len(blocks) >= number, f"docs/deployment.md has no block {number} below {heading}")
        return run("bash", "-euo", "pipefail", "-c", self.place(blocks[number - 1][1]), cwd=self.root, env=self.environment)

    def cfimages(self, *arguments, **more):
        return run(BINARY, *arguments, cwd=self.root, env={**self.environment, **more})

    def spawn(self, name, *command):
        with open(self.root / "run" / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(part) for part in command], cwd=self.root, env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def log(self, name):
        return (self.root / "run" / f"{name}.log").read_text()

    def answer(self, port, method, path, body=None, secure=True, source=CLIENT, **headers):
        """Status, headers and body of the answer to a request."""
        arguments = {"timeout": 30, "source_address": (source, 0)}
        if secure:
            context = ssl.create_default_context(cafile=self.environment["SSL_CERT_FILE"])
            connection = http.client.HTTPSConnection(PROXY, port, context=context, **arguments)
        else:
            connection = http.client.HTTPConnection(PROXY, port, **arguments)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def api(self, path, port=None, **headers):
        status, _, body = self.answer(
            port or self.ports["8010"], "GET", API + path, secure=False, Authorization=f"Token {self.token}", **headers
        )
        expect(status == 200, f"{path}: {status} {body}")
        return json.loads(body)

    def stop(self):
        for pid in self.root.glob("run/[0-9]*.pid"):
            with contextlib.suppress(OSError):
                os.kill(int(pid.read_text()), signal.SIGKILL)
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


def document_section(heading):
    text = (PROJECT / "docs/deployment.md").read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    expect(found, f"docs/deployment.md has no section {heading}")
    return found[1]


def postgres_folder():
    if (on_path := shutil.which("initdb")) is not None:
        return os.path.dirname(os.path.realpath(on_path))
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    expect(folders, "PostgreSQL's server is not installed")
    return max(folders, key=lambda folder: float(folder.split("/")[-2]))


def eventually(what, condition, patience=20):
    deadline = time.monotonic() + patience
    while not condition():
        expect(time.monotonic() < deadline, f"waited in vain: {what}")
        time.sleep(0.05)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection((PROXY, port), timeout=1):
        return True
    return False


class Traffic:
    """Clients that ask, upload and report through a proxy, one request after the other, until they are stopped."""

    def __init__(self, machine, port, secure=True):
        self.machine, self.port, self.secure = machine, port, secure
        self.stopping, self.done, self.failures = threading.Event(), 0, []
        upload_type, upload = form(picture(0.1))
        token = {"Authorization": f"Token {machine.token}"}
        requests = [
            ("GET", "images/?page_size=1", None, token),
            ("POST", "webhook/", b'{"text": "Hello"}', {"cf_webhook_auth": machine.webhook_secret, "Content_Type": "application/json"}),
            ("POST", "images/upload/", upload, {**token, "Content_Type": upload_type}),
        ]
        self.threads = [threading.Thread(target=self.send, args=request) for request in requests]

    def send(self, method, path, body, headers):
        while not self.stopping.is_set():
            try:
                status, _, text = self.machine.answer(self.port, method, API + path, body, self.secure, **headers)
                failure = None if status < 300 else f"{method} {path}: {status} {text[:200]}"
            except OSError as error:
                failure = f"{method} {path}: {error}"
            self.done += 1
            if failure:
                self.failures.append(failure)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def check_operations(machine):
    """The steps, each of which goes on where the one before ended."""
    emulator = {}

    def start_emulator():
        """an emulator stands in for Cloudflare"""
        settings = machine.root / "etc/certificate.conf"
        settings.write_text(
            "[req]\ndistinguished_name=name\nx509_extensions=site\n[name]\n"
            f"[site]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=IP:{PROXY},DNS:images.example.com\n"
        )
        run(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=images.example.com",
            "-config",
            settings,
            "-keyout",
            machine.root / "etc/key.pem",
            "-out",
            machine.root / "etc/certificate.pem",
        )
        machine.webhook_secret = secrets.token_hex(32)
        webhook = f"https://{PROXY}:{machine.https}{API}webhook/"
        machine.spawn(
            "emulator",
            BINARY,
            "emulator",
            "--memory",
            "--listen",
            f"{PROXY}:0",
            "--webhook",
            webhook,
            "--webhook-secret",
            machine.webhook_secret,
        )
        eventually("the emulator tells its settings", lambda: "API token" in machine.log("emulator"))
        emulator.update(re.findall(r"^  (\S.*?)  +(\S+)$", machine.log("emulator"), re.MULTILINE))

    def configure():
        """the settings of the document are valid, with SQLite"""
        settings = re.search(r"^```toml\n(.*?)^```$", document_section("Under systemd"), re.MULTILINE | re.DOTALL)[1]
        account = {"account_id": emulator["Account id"], "account_hash": emulator["Account hash"]}
        for name, value in account.items():
            settings = settings.replace(f'{name} = "..."', f'{name} = "{value}"')
        settings = settings.replace('"images.example.com"', f'"images.example.com", "{PROXY}"')
        # Only webhooks tell of uploads, and only the proxy is believed.
        settings = settings.replace("[server]", f'[server]\njobs = false\ntrusted_proxies = ["{PROXY}"]')
        settings = settings.replace("[cloudflare]", f'[cloudflare]\nbase_url = "{emulator["API base URL"]}"')
        (machine.root / "etc/cfimages/cfimages.toml").write_text(machine.place(settings))
        for name, secret in [
            ("database-url", machine.place("sqlite:///var/lib/cfimages/cfimages.db")),
            ("api-token", emulator["API token"]),
            ("webhook-secret", machine.webhook_secret),
        ]:
            (machine.root / "etc/cfimages/secrets" / name).write_text(secret + "\n")
        machine.cfimages("config", "check")
        machine.cfimages("migrate")
        machine.cfimages("user", "create", "alice", "--superuser", CFIMAGES_ADMIN_PASSWORD=secrets.token_hex(12))
        machine.token = machine.cfimages("token", "create", "alice").strip()
        run("chown", "-R", "cfimages:", machine.root / "var/lib/cfimages", env=machine.environment)

    def serve_from_sqlite():
        """the unit's own commands start an instance on SQLite"""
        run("systemctl", "enable", "--now", f"cfimages@{machine.ports['8010']}", env=machine.environment)
        content_type, body = form(picture(0.1))
        for _ in range(3):
            status, _, answer = machine.answer(
                machine.ports["8010"],
                "POST",
                f"{API}images/upload/",
                body,
                secure=False,
                Authorization=f"Token {machine.token}",
                Content_Type=content_type,
            )
            expect(status == 201, f"{status} {answer}")
        first = json.loads(answer)["cloudflare_id"]
        usage = json.dumps({"content_type": "shop.product", "object_id": "7", "cloudflare_id": first})
        status, _, answer = machine.answer(
            machine.ports["8010"],
            "PUT",
            f"{API}usages/",
            usage,
            secure=False,
            Authorization=f"Token {machine.token}",
            Content_Type="application/json",
        )
        expect(status == 201, f"{status} {answer}")

    def everything():
        """What a client sees of the database."""
        images = machine.api("images/")
        logs = [machine.api(f"images/{image['id']}/logs/") for image in images["results"]]
        return images, logs, machine.api("usages/"), machine.api("stats/"), machine.cfimages("user", "list", "--json")

    def back_up_sqlite():
        """SQLite: a backup is made while the server runs, and gone back to"""
        before = everything()
        machine.follow("SQLite")
        machine.cfimages("user", "create", "mallory", CFIMAGES_ADMIN_PASSWORD=secrets.token_hex(12))
        expect(everything() != before, "nothing has changed since the backup")
        machine.follow("SQLite", 2)
        expect(everything() == before, "what was restored is not what there was")

    def clean_up():
        """the unit for the night cleans up"""
        printed = run("systemctl", "start", "cfimages-cleanup", env=machine.environment)
        expect("No expired images found" in printed, f"it says {printed!r}")

    def start_postgres():
        """a PostgreSQL server is there"""
        data = machine.root / "postgres"
        data.mkdir()
        as_owner = []
        if os.geteuid() == 0:  # It refuses to run as root.
            for folder in (data, machine.root / "run", machine.root / "var/backups"):
                shutil.chown(folder, "postgres")
            as_owner = ["/usr/sbin/runuser", "-u", "postgres", "--"]
        secrecy = "--auth-local=trust --auth-host=scram-sha-256"
        cluster = f"initdb -D {data} -U postgres {secrecy} --locale=C.UTF-8 --encoding=UTF8 --no-sync"
        run(*as_owner, *f"{postgres_folder()}/{cluster}".split(), cwd="/")
        options = {"listen_addresses": PROXY, "port": machine.environment["PGPORT"], "unix_socket_directories": f"{machine.root}/run"}
        settings = [f"--{name}={value}" for name, value in {**options, "fsync": "off"}.items()]
        machine.spawn("postgres", *as_owner, f"{postgres_folder()}/postgres", "-D", data, *settings)
        port = int(machine.environment["PGPORT"])
        eventually("PostgreSQL answers", lambda: listens(port))

    def move_to_postgres():
        """SQLite to PostgreSQL: clients see the same afterwards, and go on"""
        before = everything()
        machine.environment["PGHOST"] = str(machine.root / "run")
        machine.follow("To grow: from SQLite to PostgreSQL to several instances")
        expect(everything() == before, f"the rows are not the same:\n{before}\n{everything()}")
        # Numbers go on where they were.
        machine.cfimages("user", "create", "bob", CFIMAGES_ADMIN_PASSWORD=secrets.token_hex(12))
        check = machine.api(f"images/{before[0]['results'][0]['id']}/logs/")
        expect(check, "there are no logs")

    def back_up_postgres():
        """PostgreSQL: a backup is restored, and served from"""
        before = everything()
        machine.follow("PostgreSQL")
        machine.follow("PostgreSQL", 2)
        expect("cfimages_restored" in (machine.root / "etc/cfimages/secrets/database-url").read_text(), "the old database is still in use")
        expect(everything() == before, "what was restored is not what there was")

    def start_nginx():
        """nginx takes the example as it is"""
        etc = machine.root / "etc/nginx"
        for name in ("cfimages-upstream", "cfimages-locations", "cfimages"):
            text = machine.place((PROJECT / f"contrib/nginx/{name}.conf").read_text())
            text = text.replace("# server", "server").replace("include snippets/", f"include {etc}/")
            text = re.sub(r"\n +listen \[::\]:.*", "", text)
            text = text.replace("listen 443 ", f"listen {PROXY}:{machine.https} ").replace("listen 80;", f"listen {PROXY}:{machine.http};")
            text = re.sub(r"\S+/fullchain\.pem", f"{machine.root}/etc/certificate.pem", text)
            text = re.sub(r"\S+/privkey\.pem", f"{machine.root}/etc/key.pem", text)
            (etc / f"{name}.conf").write_text(text)
        temporary = "\n".join(f"{kind}_temp_path {etc}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        (etc / "nginx.conf").write_text(
            f"{user} daemon off; pid {machine.root}/run/nginx.pid; error_log {machine.root}/run/nginx-errors.log warn; events {{}}\n"
            f"http {{ access_log off; {temporary}\ninclude {etc}/cfimages-upstream.conf; include {etc}/cfimages.conf; }}\n"
        )
        run("nginx", "-t", "-q", "-c", etc / "nginx.conf", "-e", "stderr")
        machine.spawn("nginx", "nginx", "-c", etc / "nginx.conf", "-e", "stderr")
        eventually("nginx listens", lambda: listens(machine.https))

    def start_second_instance():
        """a second instance is started, and nginx told"""
        machine.follow("Restarts without a lost request")
        expect(len(list(machine.root.glob("run/[0-9]*.pid"))) == 2, "there are no two instances")

    def identity_passes_nginx():
        """nginx: the server learns client, scheme, host and the name of the request, and believes nobody else"""
        host = f"images.example.com:{machine.https}"
        status, headers, body = machine.answer(
            machine.https,
            "GET",
            f"{API}images/?page_size=1",
            Authorization=f"Token {machine.token}",
            Host=host,
            X_Forwarded_For="198.51.100.7",
            X_Forwarded_Proto="http",
            X_Request_Id="forged",
        )
        expect(status == 200, f"{status} {body}")
        expect(json.loads(body)["next"].startswith(f"https://{host}{API}images/?"), f"scheme or host are lost: {json.loads(body)['next']}")
        name = headers["X-Request-Id"]
        expect(re.fullmatch("[0-9a-f]{32}", name), f"the request is named {name}")
        events = [json.loads(line) for port in machine.ports.values() for line in machine.log(port).splitlines() if name in line]
        expect(events and events[0]["spans"][0]["client.address"] == CLIENT, f"the client is not known: {events}")
        status, headers, _ = machine.answer(machine.http, "GET", API, secure=False, Host="images.example.com")
        expect((status, headers["Location"]) == (301, f"https://images.example.com{API}"), "plain HTTP is not redirected")
        status, headers, _ = machine.answer(machine.https, "GET", "/")
        expect(
            (status, headers["Location"].partition(str(machine.https))[2]) == (302, "/cloudflare-images/admin/"),
            "/ does not lead to the admin site",
        )

    def uploads_pass_nginx():
        """nginx: files of 5 MB pass on as they come, and what is too large is refused"""
        content_type, body = form(picture(5))
        headers = {"Authorization": f"Token {machine.token}", "Content_Type": content_type}
        status, _, answer = machine.answer(machine.https, "POST", f"{API}images/upload/", body, **headers)
        expect(status == 201, f"{status} {answer}")
        errors = machine.root / "run/nginx-errors.log"
        expect("buffered to a temporary file" not in errors.read_text(), "nginx kept the file back")
        status, _, answer = machine.answer(machine.https, "POST", f"{API}images/upload/", bytes(14 * MEGABYTE), **headers)
        expect(status == 413, f"14 MB: {status}")
        status, _, _ = machine.answer(machine.https, "POST", "/cloudflare-images/admin/upload/", body, Content_Type=content_type)
        expect(status not in (413, 502), f"5 MB to the admin site: {status}")
        # Elsewhere the server refuses in its own words, and nginx keeps bodies back, so that it would be seen above.
        json_headers = {**headers, "Content_Type": "application/json"}
        status, _, answer = machine.answer(machine.https, "POST", f"{API}upload-url/", b" " * int(2.9 * MEGABYTE), **json_headers)
        expect(status == 400 and b"nginx" not in answer, f"2.9 MB: {status} {answer[:200]}")
        expect("buffered to a temporary file" in errors.read_text(), "nginx does not say what it keeps back")
        status, _, _ = machine.answer(machine.https, "POST", f"{API}upload-url/", bytes(4 * MEGABYTE), **json_headers)
        expect(status == 413, f"4 MB: {status}")

    def webhooks_pass_nginx():
        """nginx: webhooks of all forms arrive, and a browser's upload is recorded by Cloudflare's"""
        machine.cfimages("webhook", "test", "--url", f"https://{PROXY}:{machine.https}{API}webhook/")
        headers = {"Authorization": f"Token {machine.token}", "Content_Type": "application/json"}
        status, _, answer = machine.answer(machine.https, "POST", f"{API}upload-url/", b"{}", **headers)
        expect(status == 201, f"{status} {answer}")
        upload = json.loads(answer)
        content_type, body = form(picture(0.1))
        address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.*)", upload["upload_url"])
        status, _, answer = machine.answer(address[1], "POST", address[2], body, secure=False, Content_Type=content_type)
        expect(status == 200, f"{status} {answer}")
        eventually("the webhook makes the image uploaded", lambda: machine.api(f"images/{upload['id']}/")["status"] == "uploaded")

    def restart_behind_nginx():
        """nginx: instances are upgraded and restarted one by one, and no request fails"""
        with Traffic(machine, machine.https) as traffic:
            for _ in range(3):
                machine.follow("Upgrades")
        expect(traffic.done > 50, f"only {traffic.done} requests were made")
        expect(not traffic.failures, f"{len(traffic.failures)} of {traffic.done} requests failed:\n" + "\n".join(traffic.failures[:5]))
        return f"{traffic.done} requests during 6 restarts"

    def restart_with_pauses(seconds):
        """Restarts the instances, the next one only when the proxy has heard that the one before is back."""
        for port in machine.ports.values():
            run("systemctl", "restart", f"cfimages@{port}", env=machine.environment)
            time.sleep(seconds)

    def pass_through_caddy():
        """Caddy takes the example; identity and limits are as behind nginx, and it finds instances again that were restarted"""
        text = machine.place((PROJECT / "contrib/caddy/Caddyfile").read_text())
        delay = re.search(r"CFIMAGES_SHUTDOWN_DELAY_SECONDS=(\d+)", text)[1]
        # Without a certificate, which it would ask Let's Encrypt for.
        text = text.replace("images.example.com {", f"http://{PROXY}:{machine.caddy} {{")
        path = machine.root / "etc/Caddyfile"
        # On all addresses the port could not be had while a client's connection of before, which had the same by chance, times out.
        path.write_text(f"{{\n\tadmin off\n\tdefault_bind {PROXY}\n}}\n{text}")
        machine.environment |= {"HOME": str(machine.root), "XDG_CONFIG_HOME": str(machine.root), "XDG_DATA_HOME": str(machine.root)}
        run("caddy", "validate", "--adapter", "caddyfile", "--config", path, env=machine.environment)
        machine.spawn("caddy", "caddy", "run", "--adapter", "caddyfile", "--config", path)
        eventually("Caddy asks whether the instances are ready", lambda: listens(machine.caddy))
        # As the example says. Instances have it from their next start on.
        settings = machine.root / "etc/cfimages/cfimages.toml"
        settings.write_text(settings.read_text().replace("[server]", f"[server]\nshutdown_delay_seconds = {delay}"))
        restart_with_pauses(int(delay))
        # Caddy looks now and then whether an instance is back, which is no matter of a fixed time.
        webhook = {"cf_webhook_auth": machine.webhook_secret, "Content_Type": "application/json"}

        def passes_on():
            return machine.answer(machine.caddy, "POST", f"{API}webhook/", b'{"text": "Hello"}', secure=False, **webhook)[0] == 200

        eventually("Caddy passes on all requests", lambda: all(passes_on() for _ in range(10)))
        token = {"Authorization": f"Token {machine.token}"}
        status, headers, body = machine.answer(
            machine.caddy,
            "GET",
            f"{API}images/?page_size=1",
            secure=False,
            X_Forwarded_For="198.51.100.7",
            X_Forwarded_Proto="https",
            **token,
        )
        expect(status == 200 and json.loads(body)["next"].startswith(f"http://{PROXY}:{machine.caddy}/"), f"{status} {body}")
        events = [
            json.loads(line)
            for port in machine.ports.values()
            for line in machine.log(port).splitlines()
            if headers["X-Request-Id"] in line
        ]
        expect(events and events[0]["spans"][0]["client.address"] == CLIENT, f"the client is not known: {events}")
        content_type, body = form(picture(5))
        status, _, answer = machine.answer(
            machine.caddy, "POST", f"{API}images/upload/", body, secure=False, Content_Type=content_type, **token
        )
        expect(status == 201, f"{status} {answer}")
        status, _, _ = machine.answer(machine.caddy, "GET", "/readyz", secure=False)
        expect(status == 404, f"/readyz: {status}")

    return [
        start_emulator,
        configure,
        serve_from_sqlite,
        clean_up,
        back_up_sqlite,
        start_postgres,
        move_to_postgres,
        back_up_postgres,
        start_nginx,
        start_second_instance,
        identity_passes_nginx,
        uploads_pass_nginx,
        webhooks_pass_nginx,
        restart_behind_nginx,
        pass_through_caddy,
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cfimages-shipping.") as folder:
        machine = Machine(pathlib.Path(folder))
        try:
            carry_out(check_operations(machine))
        except SystemExit:
            for log in sorted((machine.root / "run").glob("*.log")):
                print(
                    f"\n{log.name} ends with\n{''.join(log.read_text(errors='replace').splitlines(keepends=True)[-15:])}", file=sys.stderr
                )
            raise
        finally:
            machine.stop()
