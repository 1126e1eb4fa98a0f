"""The same requests to cfimages and, on a copy of the database, to the toolkit's own views."""

import re
from datetime import datetime, timedelta, timezone

from .comparing import equal

TIME = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:\d\d)?)?")


def require_same_effects(site, requests, user="alice", environment=None):
    """Fails unless requests get the same answers from both, cause the same calls to Cloudflare and leave the same rows.

    `requests` takes an API and answers a list of answers; it is called twice.
    """
    images = {key: dict(image) for key, image in site.cloudflare.images.items()}
    with site.copy() as other:
        site.serve(**(environment or {}))
        ours = _effects(site, requests, site.api(user))
        site.cloudflare.images = images
        with site.django_on(other):
            theirs = _effects(site, requests, site.toolkit(user))
    for mine, their in zip(ours["answers"], theirs["answers"]):
        equal(mine, their, "an answer")
    equal(ours, theirs, "what the two did")


def _effects(site, requests, api):
    site.cloudflare.calls.clear()
    answers = [{"status": answer.status, "body": _body(answer)} for answer in requests(api)]
    return without_now({"answers": answers, "calls": sorted(site.cloudflare.calls), "tables": site.tables()})


def _body(answer):
    """The JSON of an answer without what the two tell apart on purpose."""
    return _as_told_by_cfimages(answer.json)


def _as_told_by_cfimages(value):
    """Python's names of host objects are not to be had; errors end before the address of the API."""
    if isinstance(value, dict):
        known = {key: item for key, item in value.items() if key != "content_object"}
        return {key: _as_told_by_cfimages(item) for key, item in known.items()}
    if isinstance(value, list):
        return [_as_told_by_cfimages(item) for item in value]
    return value.split(" for url:")[0] if isinstance(value, str) else value


def without_now(value):
    """A copy in which all times of the last hour are the same."""
    if isinstance(value, dict):
        return {without_now(key): without_now(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_now(item) for item in value]
    return TIME.sub(_now_or_as_it_is, value) if isinstance(value, str) else value


def _now_or_as_it_is(match):
    text = match.group().replace("Z", "+00:00")
    text = text + ":00" if re.search(r"[+-]\d\d$", text[10:]) else text
    # Python 3.10 reads fractions of three or six digits only.
    text = re.sub(r"\.(\d+)", lambda fraction: "." + fraction.group(1).ljust(6, "0"), text)
    time = datetime.fromisoformat(text)
    time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return "<now>" if abs(datetime.now(timezone.utc) - time) < timedelta(hours=1) else match.group()
