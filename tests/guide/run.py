"""Carries out docs/migrating-from-django.md on a machine that is thrown away: see README.md beside it."""

import json
import pathlib
import re
import subprocess
import sys
import time

import machine
from machine import ENVIRONMENT, NGINX_SITE, TESTS, call

sys.path.append(str(TESTS / "documents"))
from blocks import blocks_of, tidy  # noqa: E402

GUIDE = "docs/migrating-from-django.md"
TOML = pathlib.Path("/etc/cfimages/cfimages.toml")
UNIT = pathlib.Path("/etc/systemd/system/cfimages.service")
CRON = pathlib.Path("/etc/cron.d/cfimages")
API = "https://www.example.com/cloudflare-images/api"
SESSION = (
    "from django.contrib.auth.models import User; from django.test import Client; client = Client(); "
    "client.force_login(User.objects.get(username='alice')); print(client.cookies['sessionid'].value)"
)
OBJECTS = """
    SELECT relname FROM pg_class WHERE relname LIKE 'cfimages%' UNION SELECT proname FROM pg_proc WHERE proname LIKE 'cfimages%'
    UNION SELECT tgname FROM pg_trigger WHERE tgname LIKE 'cfimages%' UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 'cfimages%'
"""
# What `stats/` says more, by docs/compatibility.md.
MORE_FIGURES = {"total_uploads", "successful_uploads", "failed_uploads", "pending_uploads", "success_rate"}


class Failure(Exception):
    """The guide says what is not so."""


def expect(so, otherwise):
    if not so:
        raise Failure(otherwise)


class Guide:
    """The pieces of code of the guide that are to be carried out, in their order; each has to be taken."""

    def __init__(self):
        self.blocks = [block for block in blocks_of(GUIDE) if not block.not_run]
        self.taken = 0

    def take(self, language, part):
        """The next piece, which is in this language and has this part."""
        expect(self.blocks, f"{GUIDE} ends, and a piece with {part!r} should follow")
        block = self.blocks.pop(0)
        expect(block.language == language and part in block.code, f"{block.place} is not the piece with {part!r} that should follow here")
        self.taken += 1
        return block


class Shell:
    """The one shell of the administrator: what a piece sets, the next one has."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["bash", "-c", 'set -euo pipefail; while read -r file; do . "$file" > "$file.out" 2>&1 < /dev/null; echo done; done'],
            cwd="/root", env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, code, place):
        """Carries out code, each command of which has to succeed, and returns what it prints."""
        file = pathlib.Path("/tmp/piece.sh")
        file.write_text(code + "\n")
        self.process.stdin.write(f"{file}\n")
        self.process.stdin.flush()
        succeeded = self.process.stdout.readline() == "done\n"
        printed = pathlib.Path(f"{file}.out").read_text()
        expect(succeeded, f"{place} fails:\n{printed}")
        return printed

    def carry_out(self, block):
        return self.run(block.code, block.place)

    def carry_out_whatever_it_ends_with(self, block):
        """For commands that tell something by their exit code, after which the administrator goes on."""
        return self.run(f"set +e\n{block.code}\nset -e", block.place)


class Nginx:
    """What the administrator edits in the file of the site."""

    def __init__(self):
        self.above, self.beside = "", ""

    def write(self):
        above, server, rest = machine.NGINX.partition("server {\n    listen")
        first, location, last = rest.partition("    location / {")
        NGINX_SITE.write_text(f"{above}{self.above}\n{server}{first}{self.beside}\n{location}{last}")

    def reload(self):
        self.write()
        call("nginx", "-t")
        call("systemctl", "reload", "nginx")


def curl(path, *options):
    """The status, the names of the headers and the body of an answer through nginx."""
    printed = call("curl", "--silent", "--show-error", "--include", *options, f"{API}/{path}")
    head, _, body = printed.partition("\n\n")
    lines = head.splitlines()
    return int(lines[0].split()[1]), {line.partition(":")[0].lower() for line in lines[1:]}, body


def expect_answers_by(server, path, *options):
    """nginx ends its old workers in its own time."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status, headers, body = curl(path, *options)
        if (server == "cfimages") == ("x-request-id" in headers):
            return status, body
        time.sleep(0.05)
    raise Failure(f"{path} is not answered by {server}: {status}, {sorted(headers)}")


def prepare(guide, shell):
    """Steps 1 to 3: a backup, the program, its settings."""
    shell.run("cd /srv/shop && . venv/bin/activate", "the environment of Django")
    backup = guide.take("sh", "pg_dump")
    printed = shell.carry_out(backup)
    expect("1.1.6" in printed, f"{backup.place} prints\n{printed}")
    expect(pathlib.Path("/root/shop.dump").read_bytes().startswith(b"PGDMP"), "there is no backup")

    shell.run(f"cd {machine.SOURCES}", "the sources")
    shell.carry_out(guide.take("sh", "useradd"))
    shell.run("cd /srv/shop", "the site")

    asked, told = shell.carry_out(guide.take("sh", "usage_sources")), guide.take("", "usage_sources")
    expect(tidy(asked) == tidy(told.code), f"{told.place}: Django tells\n{asked}")
    shell.carry_out(guide.take("sh", "webhook-secret"))
    # The guide's own, and the one line that leads to the emulator in the place of Cloudflare.
    TOML.write_text(f'{guide.take("toml", "[cloudflare]").code}\nbase_url = "{machine.EMULATOR}/client/v4"\n')
    shell.carry_out(guide.take("sh", "config check"))
    for file in TOML.parent.iterdir():
        expect(file.stat().st_mode & 0o007 == 0 or file == TOML, f"everybody may read {file}")


def begin(guide, shell):
    """Steps 4 and 5: the database, the server."""
    migrate = guide.take("sh", "migrate --status")
    shell.carry_out_whatever_it_ends_with(migrate)  # `--status` tells by its exit code that migrations are pending.
    rights = guide.take("sh", "GRANT")
    status = shell.carry_out(rights)
    states = {line.split()[1] for line in status.splitlines()[1:] if line.strip()}
    expect(states == {"applied"}, f"{rights.place}: after it there is\n{status}")

    UNIT.write_text(guide.take("ini", "ExecStart").code + "\n")
    started = guide.take("sh", "systemctl enable")
    printed = shell.carry_out(started)
    expect('"status":"ready"' in printed.replace(" ", ""), f"{started.place} prints\n{printed}")
    status = call("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8010/readyz")
    expect(status == "200", f"readyz is {status}")


def compare(guide, shell):
    """The first half of step 6: both answer alike, but for what the guide says."""
    compared = guide.take("sh", "diff <(")
    printed = shell.carry_out_whatever_it_ends_with(compared)  # `diff` tells by its exit code that answers differ.
    paths = re.findall(r"'?([\w/?=&]+)'?", re.search(r"for path in (.+); do", compared.code)[1])
    same = re.findall("^the same: (.+)$", printed, re.MULTILINE)
    expect(set(paths) - set(same) <= {"usages/", "stats/"}, f"{compared.place} prints\n{printed}")
    token = shell.run('echo "$token"', "the token").strip()
    expect(token, "there is no token")
    return token


def answer(port, path, token):
    headers = ("Host: www.example.com", "X-Forwarded-Proto: https", f"Authorization: Token {token}")
    return json.loads(call("curl", "-s", *(part for header in headers for part in ("-H", header)), f"http://127.0.0.1:{port}/cloudflare-images/api/{path}"))


def expect_the_differences_told(token):
    """`stats/` has five figures more, and `content_object` of usages is null."""
    django, cfimages = (answer(port, "stats/", token) for port in (8001, 8010))
    expect(set(cfimages) - set(django) == MORE_FIGURES, f"stats/ has {set(cfimages) - set(django)} more")
    expect({key: cfimages[key] for key in django} == django, "figures of stats/ differ")
    django, cfimages = (answer(port, "usages/", token) for port in (8001, 8010))
    expect(django["results"], "there are no usages to compare")
    for usage in django["results"]:
        usage["content_object"] = None
    expect(django == cfimages, "usages differ in more than content_object")


def switch(guide, shell, nginx, signed_in):
    """The rest of step 6, and step 7: one visitor, then all of them."""
    nginx.above = guide.take("nginx", "map $cookie_try_cfimages").code
    nginx.beside = guide.take("nginx", "http://$images").code
    nginx.write()
    shell.carry_out(guide.take("sh", "nginx -t"))
    expect_answers_by("cfimages", "images/", "--cookie", "try_cfimages=yes")
    expect_answers_by("django", "images/")

    nginx.beside, whole = guide.take("nginx", "location /cloudflare-images/api/ {").code, guide.take("nginx", "location /cloudflare-images/ {").code
    nginx.write()
    shell.carry_out(guide.take("sh", "grep -i x-request-id"))
    for path in ("images/", "stats/", "usages/"):
        status, _ = expect_answers_by("cfimages", path, *signed_in)
        expect(status == 200, f"{path} is answered with {status}")
    return whole


def expect_to_work(nginx, whole, alone, signed_in):
    """What writes works through nginx, with the rights of the server's role; so do the other ways of handing over."""
    status, body = expect_answers_by("cfimages", "upload-url/", *signed_in, "--json", '{"filename": "photo.jpg"}')
    expect(status == 201, f"upload-url/ is answered with {status}: {body}")
    session = call("venv/bin/python", "manage.py", "shell", "-v0", "-c", SESSION, cwd=machine.SHOP).strip()
    status, body = expect_answers_by("cfimages", "images/", "--cookie", f"sessionid={session}")
    expect(status == 200, f"a session of Django is answered with {status}: {body}")

    api, nginx.beside = nginx.beside, whole
    nginx.reload()
    expect_answers_by("cfimages", "../docs/")
    nginx.beside = f"{api}\n{alone.code}"
    nginx.reload()
    expect_answers_by("django", "upload-url/")
    expect_answers_by("cfimages", "stats/")
    nginx.beside = api
    nginx.reload()


def clean_up(guide, shell):
    """Step 8: the line for cron is carried out as cron would, and what is tried beside it."""
    CRON.write_text(guide.take("", "17 3 * * *").code + "\n")
    variable, line = CRON.read_text().splitlines()
    user, command = line.split(maxsplit=6)[5:]
    call("setpriv", "--reuid", user, "--regid", user, "--init-groups", "env", "--ignore-environment", "PATH=/usr/bin:/bin", variable, "sh", "-c", command)
    shell.carry_out(guide.take("sh", "--dry-run"))


def go_back(guide, shell, nginx):
    """Step 10: Django serves, and nothing of cfimages is left."""
    nginx.beside = nginx.beside.replace("http://cfimages", "http://django")
    nginx.write()
    shell.carry_out(guide.take("sh", "nginx -t"))
    expect_answers_by("django", "stats/")
    nginx.above = nginx.beside = ""
    nginx.reload()
    shell.carry_out(guide.take("sh", "migrate --remove"))
    left = call("runuser", "-u", "postgres", "--", "psql", "--no-align", "--tuples-only", "shop", "--command", OBJECTS)
    expect(not left, f"of cfimages there is left:\n{left}")
    for path in (TOML.parent, UNIT, CRON, pathlib.Path("/usr/local/bin/cfimages")):
        expect(not path.exists(), f"{path} is left")
    expect_answers_by("django", "images/")


def main(binary, environment):
    started = time.monotonic()
    guide = Guide()
    machine.enter(binary, environment)
    machine.start_services()
    shell, nginx = Shell(), Nginx()
    prepare(guide, shell)
    begin(guide, shell)
    token = compare(guide, shell)
    expect_the_differences_told(token)
    signed_in = ("--header", f"Authorization: Token {token}")
    whole = switch(guide, shell, nginx, signed_in)
    alone = guide.blocks.pop()
    expect("location = " in alone.code, f"{alone.place} is the last, and leaves no path with Django")
    expect_to_work(nginx, whole, alone, signed_in)
    clean_up(guide, shell)
    go_back(guide, shell, nginx)
    expect(not guide.blocks, f"not carried out: {', '.join(block.place for block in guide.blocks)}")
    print(f"A Django site switches, and back, {time.monotonic() - started:.0f} s: {guide.taken + 1} pieces of {GUIDE} carried out")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(str(failure))
