"""What makes generated requests reach the server's inside: images and usages that are there, and a site on this machine for URLs."""

import itertools
import json
import os
import urllib.request

import schemathesis
from neighbour import DOT, start_site
from schemathesis.core.parameters import ParameterLocation

API = os.environ["API"]
SITE = start_site()
numbers = itertools.count()
turns = itertools.count()


def send(method, url, content_type="application/json", body=None):
    headers = {"Content-Type": content_type}
    if url.startswith(API):
        headers["Authorization"] = f"Token {os.environ['TOKEN']}"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
        return json.load(answer)


def upload():
    """An image whose picture is at the emulator; what Cloudflare has of it is asked for."""
    created = send("POST", f"{API}/upload-url/", body=b"{}")
    head = 'Content-Disposition: form-data; name="file"; filename="dot.gif"\r\nContent-Type: image/gif'
    form = f"--b\r\n{head}\r\n\r\n".encode() + DOT + b"\r\n--b--\r\n"
    send("POST", created["upload_url"], "multipart/form-data; boundary=b", form)
    return send("POST", f"{API}/images/{created['id']}/check_status/", body=b"{}")


def use(image):
    usage = {"content_type": "shop.product", "object_id": str(next(numbers)), "cloudflare_id": image["cloudflare_id"]}
    return send("PUT", f"{API}/usages/", body=json.dumps(usage).encode())


IMAGE = upload()
USED = upload()
USAGE = use(USED)


def there(case):
    """The parts of a path that lead to something. What is deleted was made for that."""
    if case.operation.path.endswith("/usages/{id}/"):
        return {"id": USAGE["id"]}
    image = upload() if case.method == "DELETE" else [IMAGE, USED][next(turns) % 2]
    return {"id": image["id"], "cloudflare_id": image["cloudflare_id"]}


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("url"), str):
        body["url"] = SITE
    # Whoever has an image is tried by other tests, and none of those here is to go.
    if case.operation.path.endswith("/bulk_delete/"):
        body.pop("force", None)
    path = case.meta.components.get(ParameterLocation.PATH)
    # Every other request is about something that is there.
    if path and path.mode.is_positive and next(turns) % 2:
        case.path_parameters.update({name: value for name, value in there(case).items() if name in case.path_parameters})
