"""Browsers that signed in to Django are signed in to cfimages, under the same rules."""

import json
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone

from ..checking import check
from ..comparing import equal, true
from ..seeds import password_of
from .written_by_django import require_same_answers

PATHS = ["images/", "stats/"]


def serve(site):
    """Serves the site with the secret that sessions are signed with."""
    site.serve(
        CFIMAGES_DJANGO_SECRET_KEY=settings.SECRET_KEY,
        CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS=settings.SECRET_KEY_FALLBACKS[0],
    )


def sign_in(user):
    """Signs a user in to Django as its sign-in page does, and answers the key of the session."""
    client = Client()
    true(client.login(username=user, password=password_of(user)), f"{user} cannot sign in to Django")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def require_signed_in(site, key, is_signed_in):
    """Fails unless a session is good, or is not, for both servers. Ours is asked first: Django renews sessions."""
    answer = site.api(Cookie=f"sessionid={key}").get("images/")
    equal(answer.status, 200 if is_signed_in else 403, f"the status with the session {key}: {answer.text[:200]}")
    require_same_answers(site, PATHS, [None], Cookie=f"sessionid={key}")


@check("sessions that Django made sign in to cfimages, whatever keeps and caches them")
def sessions(site):
    serve(site)
    for user in ("alice", "bob", "root", "erin"):
        require_signed_in(site, sign_in(user), True)
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cached_db"):
        require_signed_in(site, sign_in("alice"), True)
    with override_settings(SECRET_KEY=settings.SECRET_KEY_FALLBACKS[0]):
        key = sign_in("alice")
    require_signed_in(site, key, True)
    # A session says who is asking before a token does.
    key = sign_in("alice")
    require_same_answers(site, PATHS, ["bob", None], Cookie=f"sessionid={key}", Authorization="Token nonsense")


@check("sessions end as in Django: by time, by signing out, with the password, with the user")
def ended_sessions(site):
    serve(site)
    for key in ("", "nonsense", "0" * 32):
        require_signed_in(site, key, False)
    with override_settings(SECRET_KEY="a key that nobody else has"):
        key = sign_in("alice")
    require_signed_in(site, key, False)
    key = sign_in("alice")
    Session.objects.filter(session_key=key).update(expire_date=timezone.now() - timedelta(seconds=1))
    require_signed_in(site, key, False)
    key = sign_in("alice")
    session = Session.objects.get(session_key=key)
    Session.objects.filter(session_key=key).update(session_data=session.session_data[:-1] + "x")
    require_signed_in(site, key, False)
    client = Client()
    client.login(username="alice", password=password_of("alice"))
    key = client.cookies["sessionid"].value
    require_signed_in(site, key, True)
    client.logout()
    require_signed_in(site, key, False)
    _require_ended_with(site, lambda user: user.set_password("another"))
    _require_ended_with(site, lambda user: setattr(user, "is_active", False))


def _require_ended_with(site, change):
    key = sign_in("bob")
    require_signed_in(site, key, True)
    bob = User.objects.get(username="bob")
    password, is_active = bob.password, bob.is_active
    change(bob)
    bob.save()
    require_signed_in(site, key, False)
    User.objects.filter(pk=bob.pk).update(password=password, is_active=is_active)


@check("writing with a session needs Django's own CSRF token, and is refused in Django's words")
def csrf(site):
    serve(site)
    session = f"sessionid={sign_in('alice')}"
    request = RequestFactory().get("/")
    masked, secret = get_token(request), request.META["CSRF_COOKIE"]
    origin = f"http://{site.address}"
    right = {"Cookie": f"{session}; csrftoken={secret}", "X-CSRFToken": masked}
    cases = [
        right,
        right | {"X-CSRFToken": secret},
        right | {"X-CSRFToken": get_token(request)},
        right | {"Origin": origin},
        right | {"Origin": "http://elsewhere.example"},
        right | {"Origin": "null"},
        right | {"Cookie": f"{session}; csrftoken={masked}"},
        right | {"Cookie": session},
        right | {"Cookie": f"{session}; csrftoken=short"},
        right | {"X-CSRFToken": "x" * 32},
        right | {"X-CSRFToken": "x" * 31},
        right | {"X-CSRFToken": "!" * 64},
        {"Cookie": f"{session}; csrftoken={secret}"},
        {"Cookie": session},
        {"X-CSRFToken": masked},
        right | {"Authorization": "Token nonsense"},
        {"Cookie": right["Cookie"], "Referer": f"{origin}/page"},
    ]
    for headers in cases:
        _require_same_refusal(site, headers, body=json.dumps({"expiry_minutes": 0}).encode())
    for token in (masked, "x" * 64, ""):
        body = urlencode({"csrfmiddlewaretoken": token, "expiry_minutes": 0}).encode()
        headers = {"Cookie": right["Cookie"], "Content-Type": "application/x-www-form-urlencoded"}
        _require_same_refusal(site, headers, body=body)
    answer = site.api(**right).post("upload-url/", {"creator": "by session"}).expect(201)
    site.api(Cookie=session).get(f"images/{answer.json['id']}/").expect(200)


def _require_same_refusal(site, headers, body):
    """What is asked for is refused anyway: the question is whether for its content or for its sender."""
    ours, theirs = (api.post("upload-url/", body=body) for api in (site.api(**headers), site.toolkit(**headers)))
    equal([ours.status, ours.json], [theirs.status, theirs.json], f"the answer with {headers}")


@check("without the secret of Django, and on the webhook, sessions count for nothing")
def no_sessions(site):
    serve(site)
    cookies = {"Cookie": f"sessionid={sign_in('alice')}"}
    site.api(**cookies).post("webhook/", body=b'{"id": "x"}').expect(401)
    site.stop()
    site.start()
    site.api(**cookies).get("images/").expect(403)
    site.api("alice", **cookies).get("images/").expect(200)
