"""A site as a user of the toolkit has it. Where its database is comes from the environment."""

import json
import os

SECRET_KEY = "a secret key that only the checks use, with ünïcode"
SECRET_KEY_FALLBACKS = ["the secret key of last year"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "django_cloudflareimages_toolkit",
    "gallery",
]

MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}

# All that Django writes by default or recommends; the first is what new passwords get.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.BCryptPasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]

CLOUDFLARE_IMAGES = {
    "ACCOUNT_ID": "acct-0001",
    "ACCOUNT_HASH": "hash-0001",
    "API_TOKEN": "api-token-0001",
    "BASE_URL": "http://127.0.0.1:9",  # The checks put their scripted Cloudflare here.
    "WEBHOOK_SECRET": "webhook-secret-0001",
}

DATABASES = {"default": json.loads(os.environ["DJANGO_DATABASE"])}

# What goes wrong on purpose is nobody's news.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"]},
}
