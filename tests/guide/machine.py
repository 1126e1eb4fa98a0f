"""A machine that is thrown away: this one with a layer above its disk, and the site that the guide speaks of on it."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
LAYERS = pathlib.Path("/mnt")
ROOT = LAYERS / "root"
SHOP = pathlib.Path("/srv/shop")
SOURCES = pathlib.Path("/usr/src/cfimages")
NGINX_SITE = pathlib.Path("/etc/nginx/sites-available/shop")
DATABASE = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "shop", "PASSWORD": "shop-password", "HOST": "127.0.0.1"}
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "CURL_CA_BUNDLE": "/etc/ssl/shop-ca.pem",
    "DJANGO_DATABASE": json.dumps(DATABASE),
    "PYTHONDONTWRITEBYTECODE": "1",
}
EMULATOR = "http://127.0.0.1:8787"
# What the site of the checks does not say, and one behind nginx does.
SETTINGS = f"""
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CLOUDFLARE_IMAGES["BASE_URL"] = "{EMULATOR}/client/v4"
"""
NGINX = """\
upstream django { server 127.0.0.1:8001; }

server {
    listen 443 ssl;
    server_name www.example.com;
    ssl_certificate /etc/ssl/shop.pem;
    ssl_certificate_key /etc/ssl/shop.key;

    location / {
        proxy_pass http://django;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
}
"""
SEED = "from interop import seeds; seeds.add_users(); seeds.add_images(); seeds.add_usages()"


def call(*command, **options):
    """Runs a command, and says what it printed if it fails."""
    options = {"cwd": "/", "env": ENVIRONMENT, "stdin": subprocess.DEVNULL} | options
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ends with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def start(*command, log, **options):
    """Starts a server, which ends with the namespaces."""
    with open(log, "wb") as output:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=ENVIRONMENT, **options)


def wait_for(port, log):
    """Waits until somebody listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}:\n{pathlib.Path(log).read_text()}")


def enter(binary, environment):
    """Goes to the throwaway machine, with the binary and the packages of the site. Everything after it happens there."""
    call("mount", "-t", "tmpfs", "tmpfs", LAYERS)
    for folder in ("upper", "work", "root"):
        (LAYERS / folder).mkdir()
    call("mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={LAYERS}/upper,workdir={LAYERS}/work", "overlay", ROOT)
    call("mount", "-t", "proc", "proc", ROOT / "proc")
    call("mount", "--rbind", "/dev", ROOT / "dev")
    for folder in ("dev/shm", "run", "tmp", "srv"):
        call("mount", "-t", "tmpfs", "-o", "mode=1777" if folder in ("dev/shm", "tmp") else "mode=755", "tmpfs", ROOT / folder)
    inside = ROOT / SOURCES.relative_to("/") / "target/release"
    inside.mkdir(parents=True)
    shutil.copy(binary, inside / "cfimages")
    for program in (TESTS / "guide/bin").iterdir():
        shutil.copy(program, ROOT / "usr/local/bin")
    add_site(ROOT / SHOP.relative_to("/"), pathlib.Path(environment))
    os.chroot(ROOT)
    os.chdir("/")
    call("ip", "link", "set", "lo", "up")
    pathlib.Path("/etc/hosts").write_text("127.0.0.1 localhost www.example.com\n")


def add_site(shop, environment):
    """The site of tests/django, with a virtual environment of its own name."""
    shop.mkdir()
    for part in ("project", "gallery", "interop"):
        shutil.copytree(TESTS / "django" / part, shop / part)
    shutil.copy(TESTS / "django/manage.py", shop)
    with open(shop / "project/settings.py", "a") as settings:
        settings.write(SETTINGS)
    (shop / "venv").mkdir()
    call("mount", "--bind", environment, shop / "venv")
    # The Python below it may lie where only its owner gets.
    for folder in (environment / "bin/python").resolve().parents:
        (ROOT / folder.relative_to("/")).chmod(0o755)
    # Its scripts name the folder where it was made.
    named = ROOT / environment.relative_to("/")
    if not named.exists():
        named.parent.mkdir(parents=True, exist_ok=True)
        named.symlink_to("/srv/shop/venv")


def start_services():
    """PostgreSQL, Cloudflare, Django with what it has written so far, and nginx."""
    start_postgres()
    account = ("--account-id", "acct-0001", "--account-hash", "hash-0001", "--api-token", "api-token-0001")
    start(SOURCES / "target/release/cfimages", "emulator", "--memory", "--listen", EMULATOR.removeprefix("http://"), *account, log="/tmp/emulator.log", cwd="/tmp")
    manage = (SHOP / "venv/bin/python", "manage.py")
    call(*manage, "migrate", cwd=SHOP)
    call(*manage, "shell", "-v0", "-c", SEED, cwd=SHOP)
    start(*manage, "runserver", "--noreload", "127.0.0.1:8001", log="/tmp/django.log", cwd=SHOP, user="www-data", group="www-data")
    start_nginx()
    wait_for(8001, "/tmp/django.log")
    wait_for(8787, "/tmp/emulator.log")


def start_postgres():
    """A server as Debian sets it up: system users by their names, others by passwords."""
    as_postgres = ("runuser", "-u", "postgres", "--")
    binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[-1]
    call("install", "-d", "-o", "postgres", "/run/postgresql", "/run/cluster")
    call(*as_postgres, binaries / "initdb", "-D", "/run/cluster", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=peer", "--auth-host=scram-sha-256")
    options = "-c fsync=off -c unix_socket_directories=/run/postgresql -c listen_addresses=127.0.0.1"
    call(*as_postgres, binaries / "pg_ctl", "-D", "/run/cluster", "-w", "-o", options, "-l", "/run/cluster/log", "start")
    call(*as_postgres, "psql", "--quiet", "-c", "CREATE ROLE shop LOGIN PASSWORD 'shop-password'", "-c", "CREATE DATABASE shop OWNER shop")


def start_nginx():
    """The site by https, with a certificate of an authority that curl is told to trust."""
    key = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout")
    call(*key, "/etc/ssl/shop-ca.key", "-out", "/etc/ssl/shop-ca.pem", "-subj", "/CN=Shop CA")
    issued = ("-subj", "/CN=www.example.com", "-addext", "subjectAltName=DNS:www.example.com", "-addext", "basicConstraints=critical,CA:FALSE")
    call(*key, "/etc/ssl/shop.key", "-out", "/etc/ssl/shop.pem", *issued, "-CA", "/etc/ssl/shop-ca.pem", "-CAkey", "/etc/ssl/shop-ca.key")
    NGINX_SITE.write_text(NGINX)
    enabled = pathlib.Path("/etc/nginx/sites-enabled")
    for site in enabled.iterdir():
        site.unlink()
    (enabled / "shop").symlink_to(NGINX_SITE)
    call("nginx")
