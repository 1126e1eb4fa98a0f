"""A scripted Cloudflare: enough state for uploads, and whatever answer a check wants."""

import json
import threading
import uuid
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

IMAGES = "/client/v4/accounts/acct-0001/images/"
AUTHORIZATION = "Bearer api-token-0001"


class Cloudflare:
    """A server on a port of its own. The members of images are texts of JSON, so that numbers keep their form."""

    def __init__(self):
        self.images = {}
        self.calls = []
        self.failing = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/client/v4"

    def close(self):
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def upload(self, cloudflare_id, uploaded="2024-05-05T05:05:05.123Z", **members):
        """Does what a browser does with an upload URL. Members are texts of JSON."""
        with self._lock:
            image = self.images.setdefault(cloudflare_id, {"id": json.dumps(cloudflare_id)})
            image.pop("draft", None)
            image |= {"uploaded": json.dumps(uploaded), "variants": variants_of(cloudflare_id), **members}

    def answer(self, method, path, headers, body):
        """What a call is answered with: status and text."""
        with self._lock:
            self._note(f"{method} {path}")
            if headers.get("Authorization") != AUTHORIZATION:
                return 403, failure(9109, "Unauthorized to access requested resource")
            if not path.startswith(IMAGES):
                return 404, failure(7003, "Could not route to this path")
            if (method, path) == ("POST", IMAGES + "v2/direct_upload"):
                return self._create(form_of(headers, body))
            return self._answer_image(method, unquote(path.removeprefix(IMAGES + "v1/")), body)

    def _note(self, call):
        """Keeps a call. One that is made again because it failed counts once: the toolkit tries nothing twice."""
        is_failing = unquote(call.rpartition("/v1/")[2]) in self.failing
        if not (is_failing and self.calls[-1:] == [call]):
            self.calls.append(call)

    def _create(self, form):
        cloudflare_id = form.get("id") or str(uuid.uuid4())
        if cloudflare_id in self.images:
            return 409, failure(5409, "Resource already exists")
        self.images[cloudflare_id] = {
            "id": json.dumps(cloudflare_id),
            "uploaded": '"2024-05-05T05:05:05.000Z"',
            "draft": "true",
            "requireSignedURLs": form["requireSignedURLs"],
            "variants": variants_of(cloudflare_id),
            "meta": form["metadata"],
            **({"creator": json.dumps(form["creator"])} if "creator" in form else {}),
        }
        url = json.dumps(f"https://upload.imagedelivery.net/hash-0001/{uuid.uuid4()}")
        return 200, success({"id": json.dumps(cloudflare_id), "uploadURL": url})

    def _answer_image(self, method, cloudflare_id, body):
        if cloudflare_id in self.failing:
            return self.failing[cloudflare_id], failure(10000, "Something broke")
        if cloudflare_id not in self.images:
            return 404, failure(5404, "Image not found")
        if method == "DELETE":
            del self.images[cloudflare_id]
            return 200, success({})
        if method == "PATCH":
            changes = json.loads(body)
            names = {"metadata": "meta", "requireSignedURLs": "requireSignedURLs", "creator": "creator"}
            self.images[cloudflare_id] |= {names[key]: json.dumps(value) for key, value in changes.items()}
        return 200, success(self.images[cloudflare_id])


def variants_of(cloudflare_id):
    """The delivery URLs that an image has, as a text of JSON."""
    base = f"https://imagedelivery.net/hash-0001/{cloudflare_id}"
    return json.dumps([f"{base}/public", f"{base}/thumbnail"])


def success(members):
    """The envelope of an answer."""
    result = ", ".join(f"{json.dumps(key)}: {text}" for key, text in members.items())
    return f'{{"result": {{{result}}}, "success": true, "errors": [], "messages": []}}'


def failure(code, message):
    """The envelope of a refusal."""
    return json.dumps(
        {"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []}
    )


def form_of(headers, body):
    """The fields of a multipart body."""
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + body).get_payload()
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode() for part in parts
    }


def _handler_of(cloudflare):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = cloudflare.answer(self.command, self.path, self.headers, body)
            answer = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_DELETE = do_PATCH = do_GET

        def log_message(self, *_):
            """Says nothing: the calls are kept."""

    return Handler
