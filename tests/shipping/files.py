"""Checks the files that cfimages is shipped with: by their linters, and against the program and the sources.

usage: files.py BINARY
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib

import yaml
from common import PROJECT, UNITS, carry_out, directives, expect, run

BINARY = sys.argv[1]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
PROGRAM = "/usr/local/bin/cfimages"
# The most that systemd-analyze may find exposed of a service, in tenths: "OK" ends at 40.
MOST_EXPOSURE = 20


def dockerfile_is_clean():
    """hadolint finds nothing in the Dockerfile"""
    run("hadolint", PROJECT / "Dockerfile")


def dockerfile_fits_the_sources():
    """the Dockerfile has the Rust of Cargo.toml, copies what exists and is not ignored, and takes all targets into account"""
    manifest = tomllib.loads((PROJECT / "Cargo.toml").read_text())
    expect(f"FROM rust:{manifest['package']['rust-version']}-" in DOCKERFILE, "the release of Rust is not rust-version in Cargo.toml")
    ignored = (PROJECT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            expect((PROJECT / source).exists(), f"COPY {source}: there is no such file")
            expect(f"!{source}" in ignored, f"COPY {source}: .dockerignore leaves it out")
    # Cargo reads the manifest only if each target that it names has a file.
    layer = re.search(r"^RUN (mkdir.*?)\s*\\?\n\s*&& cargo build", DOCKERFILE, re.MULTILINE | re.DOTALL)
    expect(layer, "there is no layer for the dependencies")
    with tempfile.TemporaryDirectory() as folder:
        for file in ("Cargo.toml", "Cargo.lock"):
            shutil.copy(PROJECT / file, folder)
        run("sh", "-ec", layer[1], cwd=folder)
        run("cargo", "metadata", "--no-deps", "--locked", "--format-version=1", cwd=folder)


def compose_is_valid():
    """Compose reads compose.yaml"""
    settings = {name: "x" for name in re.findall(r"\$\{(\w+)", (PROJECT / "compose.yaml").read_text())}
    has_plugin = (
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        if shutil.which("docker")
        else False
    )
    compose = ["docker", "compose"] if has_plugin else ["docker-compose"]
    run(*compose, "--file", PROJECT / "compose.yaml", "config", "--quiet", env={**os.environ, **settings})


def containers_are_confined():
    """each container has a root that cannot be written, no capabilities, and secrets in files alone"""
    for name, service in COMPOSE["services"].items():
        expect(service.get("read_only") is True, f"{name}: its root can be written")
        expect(service.get("cap_drop") == ["ALL"], f"{name}: it has capabilities")
        expect("no-new-privileges:true" in service.get("security_opt", []), f"{name}: it can gain privileges")
        environment = service.get("environment", {})
        for variable, value in environment.items():
            if re.search("TOKEN|SECRET|PASSWORD|KEY|DATABASE_URL", variable):
                expect(variable.endswith("_FILE"), f"{name}: {variable} is a secret in the environment")
            if variable.endswith("_FILE"):
                secret = value.removeprefix("/run/secrets/")
                expect(secret in service["secrets"], f"{name}: {variable} is not among its secrets")
        for secret in service.get("secrets", []):
            expect(secret in COMPOSE["secrets"], f"{name}: there is no secret {secret}")


def units_are_valid():
    """systemd takes the units, and they are confined"""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for unit in UNITS.iterdir():
            name = unit.name.replace("@.", "@8010.")
            text = unit.read_text().replace(PROGRAM, BINARY)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as copy:
                copy.write(text)
            names.append(os.path.join(folder, name))
        done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
        # What it says of units of this machine is not ours.
        complaints = [line for line in done.stderr.splitlines() if "cfimages" in line or folder in line]
        expect(not complaints, "\n".join(complaints))
        services = [name for name in names if name.endswith(".service")]
        expect(len(services) == 2, "there are two services")
        run("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", *services)
    sandboxes = {
        (UNITS / name).read_text().partition("# All that it needs")[2].partition("\n\n")[0].strip()
        for name in ("cfimages@.service", "cfimages-cleanup.service")
    }
    expect(len(sandboxes) == 1 and "" not in sandboxes, "the two services are not confined in the same way")


def commands_exist():
    """each command line of units, containers and cron is one that the program takes"""
    lines = [line for unit in UNITS.glob("*.service") for line in directives(unit, "ExecStart")]
    lines += re.findall(rf"^[\d*/ ,-]+ cfimages ({PROGRAM}.*)$", (PROJECT / "contrib/cron/cfimages").read_text(), re.MULTILINE)
    commands = [shlex.split(line)[1:] for line in lines if line.startswith(PROGRAM)]
    commands += [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    commands += [yaml.safe_load(found) for found in re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)]
    commands += [yaml.safe_load(found)[1:] for found in re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)]
    expect(len(commands) >= 8, f"only {len(commands)} were found")
    for command in commands:
        # Arguments before --help are looked at.
        run(BINARY, *command, "--help")
    return f"{len(commands)} of them"


def waiting_fits_draining():
    """service managers wait for as long as the server may take to stop"""
    example = (PROJECT / "cfimages.example.toml").read_text()
    shutdown = int(re.search(r"^#shutdown_timeout_seconds = (\d+)$", example, re.MULTILINE)[1])
    finish = int(re.search(r"FINISH_TIMEOUT: Duration = Duration::from_secs\((\d+)\)", (PROJECT / "src/cli/serve.rs").read_text())[1])
    for name, seconds in [
        ("cfimages@.service", directives(UNITS / "cfimages@.service", "TimeoutStopSec")[0]),
        ("compose.yaml", COMPOSE["services"]["server"]["stop_grace_period"].removesuffix("s")),
    ]:
        expect(int(seconds) > shutdown + finish, f"{name} waits for {seconds} s; the server may take {shutdown + finish} s")


def messages_exist():
    """each message in docs/troubleshooting.md is one that the program has"""
    sources = "\n".join(path.read_text() for path in sorted((PROJECT / "src").rglob("*.rs")))
    # Texts that go on in the next line, and quotes within them.
    sources = re.sub(r"\\\n\s*", "", sources).replace('\\"', '"')
    words = "\n".join(re.findall(r'"([^"\n]*(?:"[^"\n]*)*)"', sources))
    document = (PROJECT / "docs/troubleshooting.md").read_text()
    first_cells = re.findall(r"^\| (?!message|answer|check)(.*?) \|", document, re.MULTILINE)
    messages = [message for cell in first_cells for message in re.findall(r"`([^`]+)`", cell) if " " in message]
    # What Cloudflare's status is called is put together.
    messages = [message for message in messages if not re.match(r"\d{3} Client Error", message)]
    expect(len(messages) > 40, f"only {len(messages)} were found")
    unknown = [(message, part) for message in messages for part in re.split(r"\.\.\.|(?<=:) ", message) if part.strip() not in words]
    expect(not unknown, "\n".join(f"`{message}`: the sources do not say {part!r}" for message, part in unknown))
    return f"{len(messages)} of them"


def scripts_are_clean():
    """shellcheck finds nothing in the scripts"""
    scripts = [*(PROJECT / "contrib").glob("*.sh"), *(PROJECT / "tests/shipping").glob("*.sh")]
    expect(len(scripts) >= 2, "there are scripts")
    run("shellcheck", "--external-sources", *scripts, cwd=PROJECT)


def alerts_fire_when_they_should():
    """promtool reads the alerts, and they fire as alerts_test.yml says"""
    if not shutil.which("promtool"):
        return "left out: there is no promtool"
    run("promtool", "check", "rules", PROJECT / "contrib/prometheus/alerts.yml")
    run("promtool", "test", "rules", PROJECT / "tests/shipping/alerts_test.yml")


def nothing_is_linked_that_the_image_lacks():
    """the binary links nothing but what the image of the Dockerfile has"""
    expect("FROM gcr.io/distroless/cc-debian13:nonroot\n" in DOCKERFILE, "the image is another one: does it have the libraries?")
    needed = set(re.findall(r"^\s*(\S+)(?: =>| \()", run("ldd", BINARY), re.MULTILINE))
    there = {"linux-vdso.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1"}
    foreign = {library for library in needed if library not in there and not library.startswith(("/lib", "ld-linux"))}
    expect(not foreign, f"it also needs {', '.join(foreign)}")


if __name__ == "__main__":
    carry_out(
        [
            dockerfile_is_clean,
            dockerfile_fits_the_sources,
            nothing_is_linked_that_the_image_lacks,
            compose_is_valid,
            containers_are_confined,
            units_are_valid,
            commands_exist,
            waiting_fits_draining,
            messages_exist,
            scripts_are_clean,
            alerts_fire_when_they_should,
        ]
    )
