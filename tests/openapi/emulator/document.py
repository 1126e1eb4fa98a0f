"""Prints Cloudflare's document with the exceptions from it, as `tests/fixtures/cloudflare` has both."""

import json
from pathlib import Path

FIXTURES = Path(__file__).parent / "../../fixtures/cloudflare"


def change(parent, keys, exception):
    """Puts a value at a place, or takes it away there; how often something was changed."""
    key, *rest = keys
    if isinstance(parent, list):
        at = int(key)
        if rest:
            return change(parent[at], rest, exception) if at < len(parent) else 0
        if "becomes" in exception or at >= len(parent):
            return 0
        del parent[at]
        return 1
    if not isinstance(parent, dict):
        return 0
    if rest:
        return sum(change(parent[name], rest, exception) for name in list(parent) if key in ("*", name))
    before = parent.pop(key, None)
    if "becomes" in exception:
        parent[key] = exception["becomes"]
    return int(before != exception.get("becomes"))


def document():
    description = json.loads((FIXTURES / "openapi.json").read_text())
    for exception in json.loads((FIXTURES / "exceptions.json").read_text()):
        keys = [key.replace("~1", "/").replace("~0", "~") for key in exception["at"].split("/")[1:]]
        if not change(description, keys, exception):
            raise SystemExit(f"{exception['at']} changes nothing")
    return description


if __name__ == "__main__":
    print(json.dumps(document()))
