"""Cloudflare's SDK for Python at the emulator: what its users do with images, through its own functions and types."""

import base64
import hashlib
import hmac
import json
import os
import queue
import time
import unittest
import urllib.parse
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cloudflare
import httpx
from cloudflare import Cloudflare

ORIGIN = os.environ["EMULATOR"]
ACCOUNT = os.environ["ACCOUNT"]
TOKEN = os.environ["TOKEN"]
HASH = os.environ["HASH"]
PHOTO = (Path(__file__).parent / "../fixtures/images/photo.jpg").read_bytes()
FILE = ("photo.jpg", PHOTO, "image/jpeg")
# One pixel.
DOT = ("dot.gif", base64.b64decode("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="), "image/gif")


def client(token=TOKEN, **options):
    return Cloudflare(api_token=token, base_url=f"{ORIGIN}/client/v4", **options)


def delivered(path):
    return httpx.get(f"{ORIGIN}{path}")


def at_emulator(variant_url):
    """The path of a delivery URL, which names Cloudflare's host."""
    return urllib.parse.urlsplit(variant_url).path


def sign(path, key, expires_at):
    text = f"{path}?exp={expires_at}"
    return f"{text}&sig={hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()}"


class Receiver:
    """A webhook; what it is sent goes into a queue."""

    def __enter__(self):
        received = self.received = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                received.put((self.headers.get("cf-webhook-auth"), json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def next(self):
        return self.received.get(timeout=10)


class Images(unittest.TestCase):
    def setUp(self):
        self.cloudflare = client()
        self.images = self.cloudflare.images.v1

    def upload(self, file=FILE, **fields):
        image = self.images.create(account_id=ACCOUNT, file=file, **fields)
        self.addCleanup(self.forget, image.id)
        return image

    def forget(self, image_id):
        try:
            self.images.delete(image_id, account_id=ACCOUNT)
        except cloudflare.NotFoundError:
            pass

    def test_a_file_is_uploaded_shown_delivered_and_deleted(self):
        before = self.images.stats.get(account_id=ACCOUNT).count.current
        image = self.upload(metadata=json.dumps({"shelf": 7}), creator="user-7")
        self.assertEqual((image.filename, image.meta, image.creator), ("photo.jpg", {"shelf": 7}, "user-7"))
        self.assertLess(abs(datetime.now(timezone.utc) - image.uploaded), timedelta(minutes=1))
        self.assertIs(image.require_signed_urls, False)
        self.assertEqual(self.images.get(image.id, account_id=ACCOUNT), image)
        self.assertEqual(self.images.stats.get(account_id=ACCOUNT).count.current, before + 1)
        self.assertEqual(self.images.blobs.get(image.id, account_id=ACCOUNT).read(), PHOTO)
        self.assertIn(f"https://imagedelivery.net/{HASH}/{image.id}/public", image.variants)
        for variant in image.variants:
            self.assertEqual(delivered(at_emulator(variant)).headers["content-type"], "image/jpeg")
        self.images.delete(image.id, account_id=ACCOUNT)
        with self.assertRaises(cloudflare.NotFoundError):
            self.images.get(image.id, account_id=ACCOUNT)

    def test_an_id_of_ones_own_may_have_slashes_and_spaces(self):
        image = self.upload(id="shop/42/a photo 100%.jpg")
        self.assertEqual(image.id, "shop/42/a photo 100%.jpg")
        self.assertEqual(self.images.get(image.id, account_id=ACCOUNT), image)

    def test_a_picture_elsewhere_is_uploaded_by_its_url(self):
        source = self.upload()
        copy = self.images.create(account_id=ACCOUNT, url=f"{ORIGIN}/{HASH}/{source.id}/thumbnail")
        self.addCleanup(self.forget, copy.id)
        self.assertEqual(copy.filename, "thumbnail")

    def test_a_direct_upload_is_a_draft_until_the_file_comes(self):
        uploads = self.cloudflare.images.v2.direct_uploads
        expiry = datetime.now(timezone.utc) + timedelta(hours=1)
        draft = uploads.create(account_id=ACCOUNT, expiry=expiry, metadata='{"a": 1}', require_signed_urls=True)
        self.addCleanup(self.forget, draft.id)
        self.assertIs(self.images.get(draft.id, account_id=ACCOUNT).draft, True)
        answer = httpx.post(draft.upload_url, files={"file": FILE})
        self.assertEqual((answer.status_code, answer.json()["result"]["id"]), (200, draft.id))
        image = self.images.get(draft.id, account_id=ACCOUNT)
        self.assertFalse(hasattr(image, "draft"))
        self.assertEqual((image.meta, image.require_signed_urls), ({"a": 1}, True))
        self.assertEqual(httpx.post(draft.upload_url, files={"file": FILE}).status_code, 409)
        self.forget(uploads.create(account_id=ACCOUNT).id)

    def test_lists_have_pages(self):
        creator = "of-the-lists"
        made = [self.upload(DOT, creator=creator, metadata=json.dumps({"at": at})).id for at in range(23)]
        listing = self.cloudflare.images.v2
        for order, wanted in [("asc", made), ("desc", made[::-1])]:
            found, token = [], None
            while True:
                following = {"continuation_token": token} if token else {}
                page = listing.list(account_id=ACCOUNT, per_page=10, sort_order=order, creator=creator, **following)
                found += [image.id for image in page.images]
                token = page.continuation_token
                if not token:
                    break
            self.assertEqual(found, wanted)
        # The SDK looks for the pictures of a page where Cloudflare does not have them, so its own iteration finds none.
        pages = [self.images.list(account_id=ACCOUNT, page=page, per_page=10, creator=creator) for page in (1, 2, 3, 4)]
        self.assertEqual([len(page.result.images) for page in pages], [10, 10, 3, 0])
        self.assertEqual([image["id"] for page in pages for image in page.result.images], made[::-1])
        filters = {"meta.at[gte]": "20", "meta.at[lt]": "22"}
        page = listing.list(account_id=ACCOUNT, creator=creator, extra_query=filters)
        self.assertEqual([image.id for image in page.images], [made[21], made[20]])

    def test_an_image_is_changed(self):
        image = self.upload(metadata='{"a": 1}', creator="me")
        changed = self.images.edit(image.id, account_id=ACCOUNT, metadata={"b": 2})
        self.assertEqual((changed.id, changed.meta, changed.creator), (image.id, {"b": 2}, "me"))
        changed = self.images.edit(image.id, account_id=ACCOUNT, require_signed_urls=True, creator="you")
        self.assertEqual((changed.meta, changed.creator, changed.require_signed_urls), ({"b": 2}, "you", True))
        self.assertEqual(self.images.get(image.id, account_id=ACCOUNT), changed)

    def test_private_pictures_are_delivered_by_the_urls_that_a_key_signed(self):
        keys = self.images.keys
        names = [key.name for key in keys.list(account_id=ACCOUNT).keys]
        made = keys.update("ofthesdk", account_id=ACCOUNT).keys
        self.assertEqual([key.name for key in made], [*names, "ofthesdk"])
        key = made[-1].value
        path = at_emulator(self.upload(require_signed_urls=True).variants[0])
        now = int(time.time())
        self.assertEqual(delivered(path).status_code, 403)
        self.assertEqual(delivered(sign(path, key, now + 60)).status_code, 200)
        self.assertEqual(delivered(sign(path, key, now - 1)).status_code, 403)
        self.assertEqual(delivered(sign(path, "another", now + 60)).status_code, 403)
        left = keys.delete("ofthesdk", account_id=ACCOUNT).keys
        self.assertEqual([key.name for key in left], names)
        self.assertEqual(delivered(sign(path, key, now + 60)).status_code, 403)

    def test_variants_are_made_changed_and_deleted(self):
        variants = self.images.variants
        options = {"fit": "cover", "width": 20, "height": 10, "metadata": "none"}
        made = variants.create(account_id=ACCOUNT, id="card", options=options, never_require_signed_urls=True).variant
        self.assertEqual((made.id, made.options.width, made.never_require_signed_urls), ("card", 20, True))
        self.assertEqual(variants.get("card", account_id=ACCOUNT).variant.to_dict(), made.to_dict())
        self.assertIn("card", variants.list(account_id=ACCOUNT).variants.to_dict())
        path = f"/{HASH}/{self.upload(require_signed_urls=True).id}/card"
        self.assertEqual(delivered(path).status_code, 200)
        private = variants.edit("card", account_id=ACCOUNT, options={**options, "width": 30}, never_require_signed_urls=False)
        self.assertEqual((private.variant.options.width, private.variant.options.fit), (30, "cover"))
        self.assertEqual(delivered(path).status_code, 403)
        variants.delete("card", account_id=ACCOUNT)
        with self.assertRaises(cloudflare.NotFoundError):
            variants.get("card", account_id=ACCOUNT)


class Notifications(unittest.TestCase):
    def test_destinations_and_policies_tell_of_uploads(self):
        api = client()
        webhooks, policies = api.alerting.destinations.webhooks, api.alerting.policies
        with Receiver() as receiver:
            webhook = webhooks.create(account_id=ACCOUNT, name="mine", url=receiver.url, secret="hush").id
            secret, message = receiver.next()
            self.assertEqual((secret, list(message)), ("hush", ["text"]))
            shown = webhooks.get(webhook, account_id=ACCOUNT)
            self.assertEqual((shown.name, shown.url, shown.type), ("mine", receiver.url, "generic"))
            self.assertFalse(hasattr(shown, "secret"))
            webhooks.update(webhook, account_id=ACCOUNT, name="renamed", url=receiver.url)
            receiver.next()
            self.assertEqual([hook.name for hook in webhooks.list(account_id=ACCOUNT)], ["renamed"])

            policy = policies.create(
                account_id=ACCOUNT,
                name="Uploads",
                alert_type="image_notification",
                enabled=True,
                mechanisms={"webhooks": [{"id": webhook}]},
            ).id
            self.assertEqual([policy.name for policy in policies.list(account_id=ACCOUNT)], ["Uploads"])
            policies.update(policy, account_id=ACCOUNT, description="of pictures")
            shown = policies.get(policy, account_id=ACCOUNT)
            self.assertEqual((shown.name, shown.description, shown.enabled), ("Uploads", "of pictures", True))

            draft = api.images.v2.direct_uploads.create(account_id=ACCOUNT)
            httpx.post(draft.upload_url, files={"file": FILE}).raise_for_status()
            secret, message = receiver.next()
            self.assertEqual((secret, message["policy_id"], message["alert_type"]), ("hush", policy, "image_notification"))
            self.assertIn(draft.id, json.dumps(message["data"]))
            api.images.v1.delete(draft.id, account_id=ACCOUNT)

            policies.delete(policy, account_id=ACCOUNT)
            webhooks.delete(webhook, account_id=ACCOUNT)
            with self.assertRaises(cloudflare.NotFoundError):
                webhooks.get(webhook, account_id=ACCOUNT)


class Errors(unittest.TestCase):
    def setUp(self):
        self.faults = httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"})
        self.addCleanup(lambda: self.faults.delete(f"{ORIGIN}/_cfimages/faults"))

    def plan(self, *faults):
        self.faults.put(f"{ORIGIN}/_cfimages/faults", json={"faults": faults}).raise_for_status()

    def calls(self, operation):
        return self.faults.get(f"{ORIGIN}/_cfimages/faults").json()["calls"][operation]

    def expect(self, error, code, call):
        with self.assertRaises(error) as caught:
            call()
        self.assertEqual([problem["code"] for problem in caught.exception.body["errors"]], [code])

    def test_errors_have_types_and_codes(self):
        images = client().images.v1
        self.expect(cloudflare.NotFoundError, 5404, lambda: images.get("unknown", account_id=ACCOUNT))
        private = {"id": "mine", "require_signed_urls": True}
        self.expect(cloudflare.BadRequestError, 5410, lambda: images.create(account_id=ACCOUNT, file=FILE, **private))
        images.create(account_id=ACCOUNT, file=FILE, id="taken")
        # 409 is tried again, as the SDK has it.
        taken = client(max_retries=0).images.v1
        self.expect(cloudflare.ConflictError, 5409, lambda: taken.create(account_id=ACCOUNT, file=FILE, id="taken"))
        images.delete("taken", account_id=ACCOUNT)
        text = ("a.txt", b"text", "text/plain")
        self.expect(cloudflare.APIStatusError, 5455, lambda: images.create(account_id=ACCOUNT, file=text))
        self.expect(cloudflare.NotFoundError, 7003, lambda: images.get("x", account_id="0" * 32))
        wrong, reader = client("wrong").images.v1, client("reader").images.v1
        self.expect(cloudflare.AuthenticationError, 10000, lambda: wrong.stats.get(account_id=ACCOUNT))
        reader.stats.get(account_id=ACCOUNT)
        self.expect(cloudflare.PermissionDeniedError, 10000, lambda: reader.create(account_id=ACCOUNT, file=FILE))

    def test_too_many_requests_are_made_again_later(self):
        busy = {"operation": "get_stats", "times": 1, "kind": {"error": {"status": 429, "retry_after": 1}}}
        self.plan(busy)
        started = time.monotonic()
        client().images.v1.stats.get(account_id=ACCOUNT)
        self.assertGreaterEqual(time.monotonic() - started, 1)
        self.assertEqual(self.calls("get_stats"), 2)
        self.plan(busy)
        impatient = client(max_retries=0).images.v1
        self.expect(cloudflare.RateLimitError, 971, lambda: impatient.stats.get(account_id=ACCOUNT))

    def test_every_answer_tells_what_is_left_of_the_rate_limit(self):
        headers = client().images.v1.stats.with_raw_response.get(account_id=ACCOUNT).headers
        self.assertRegex(headers["ratelimit"], r'^"default";r=\d+;t=\d+$')
        self.assertEqual(headers["ratelimit-policy"], '"default";q=1200;w=300')

    def test_a_failing_server_and_a_cut_connection_are_tried_again(self):
        broken = {"operation": "get_stats", "kind": {"error": {"status": 503}}}
        self.plan(broken, {"operation": "get_stats", "kind": "cut"})
        client().images.v1.stats.get(account_id=ACCOUNT)
        self.assertEqual(self.calls("get_stats"), 3)
        self.plan(broken)
        self.expect(cloudflare.InternalServerError, 5503, lambda: client(max_retries=0).images.v1.stats.get(account_id=ACCOUNT))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
