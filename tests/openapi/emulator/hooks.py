"""What makes generated requests reach the emulator's inside: things that are there, and a site on this machine for URLs."""

import itertools
import json
import os
import urllib.request
from datetime import datetime, timedelta, timezone

import schemathesis
from neighbour import start_site
from schemathesis.core.parameters import ParameterLocation

ACCOUNT = f"{os.environ['EMULATOR']}/client/v4/accounts/{os.environ['ACCOUNT']}"


def create(path, content_type, body):
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "Content-Type": content_type}
    with urllib.request.urlopen(urllib.request.Request(f"{ACCOUNT}/{path}", body, headers)) as answer:
        return json.load(answer)["result"]["id"]


def create_json(path, fields):
    return create(path, "application/json", json.dumps(fields).encode())


SITE = start_site()
FORM = f'--b\r\nContent-Disposition: form-data; name="url"\r\n\r\n{SITE}\r\n--b--\r\n'
WEBHOOK = create_json("alerting/v3/destinations/webhooks", {"name": "there", "url": SITE})
POLICY = {"name": "there", "alert_type": "image_notification", "enabled": True, "mechanisms": {"webhooks": [{"id": WEBHOOK}]}}
THERE = {
    "image_id": create("images/v1", "multipart/form-data; boundary=b", FORM.encode()),
    "webhook_id": WEBHOOK,
    "policy_id": create_json("alerting/v3/policies", POLICY),
    "variant_id": "public",
}
turns = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("url"), str) and "//" in body["url"]:
        body["url"] = SITE
    path = case.meta.components.get(ParameterLocation.PATH)
    if path and path.mode.is_positive:
        case.path_parameters["account_id"] = os.environ["ACCOUNT"]
        # Every other request is about something that is there. Nothing of it is deleted.
        if case.method != "DELETE" and next(turns) % 2:
            case.path_parameters.update({name: THERE[name] for name in THERE.keys() & case.path_parameters.keys()})
    if not case.meta.generation.mode.is_positive:
        return
    if "expiry" in body:
        body["expiry"] = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    if "file" in body and "url" in body:
        del body["url"]
    if "id" in body and body.get("requireSignedURLs"):
        del body["id"]
    for webhook in (body.get("mechanisms") or {}).get("webhooks", []):
        webhook["id"] = WEBHOOK
