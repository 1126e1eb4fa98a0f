//! The table of all settings, the one place where a setting is declared.
//!
//! Loading, the messages about mistakes, `config show` and the example file are made from it. The comment of a setting is
//! the paragraph that the example file has about it.

use super::setting::{
    Setting, flag, json, list, number, optional_list, optional_number, optional_text, secret, secret_list, secret_url,
    text,
};

macro_rules! settings {
    ($($group:literal { $($(#[doc = $doc:literal])+ $name:ident: $form:expr,)+ })+) => {
        $($(
            $(#[doc = $doc])+
            pub static $name: Setting =
                Setting { name: stringify!($name), group: $group, doc: &[$($doc),+], ..$form };
        )+)+

        /// Every setting, in the order of the example file.
        pub static SETTINGS: &[&Setting] = &[$($(&$name),+),+];
    };
}

settings! {
    "Database" {
        /// The database: `sqlite://` and a path, relative to the working directory, or
        /// `postgres://user:password@host/database`.
        DATABASE_URL: secret_url("sqlite://cfimages.db"),

        /// How many connections to the database are open at most, 1 to 1000.
        CFIMAGES_DB_MAX_CONNECTIONS: number("10"),

        /// How long a request waits for a free connection before it fails, in seconds, 1 to 3600.
        CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS: number("5"),

        /// How long a statement may run on PostgreSQL before it is cancelled, in seconds, 1 to 3600.
        CFIMAGES_DB_STATEMENT_TIMEOUT_SECONDS: number("30"),

        /// Tables of the application, as `table` or `schema.table`, whose rows are deleted with the image they require.
        /// Where a row's reference to an image may be null, deleting the image sets it to null; where it may not, the
        /// image cannot be deleted unless the table is listed here. Name those that have `on_delete=CASCADE` in Django.
        CFIMAGES_HOST_DELETE_TABLES: optional_list("gallery_badge"),
        /// The table of the users: that of the model which is `AUTH_USER_MODEL` in Django, also as `schema.table`. Names
        /// with dots or quotes are written in double quotes.
        CFIMAGES_USER_TABLE: text("auth_user"),

        /// The type of the keys in that table: `integer`, `bigint` (Django's `BigAutoField`) or `uuid`.
        CFIMAGES_USER_KEY: text("integer"),

        /// The columns of the application's tables that name images, for `cfimages reconcile-usage`, each as
        /// `TABLE:KEY_COLUMN:IMAGE_COLUMN:APP.MODEL` or `TABLE:KEY_COLUMN:IMAGE_COLUMN:APP.MODEL:FIELD`. The table may be
        /// `schema.table`; the column holds Cloudflare ids, or is a foreign key to `cloudflare_images`; the field is the
        /// column, without `_id` where it is a foreign key.
        CFIMAGES_USAGE_SOURCES: optional_list("gallery_article:id:hero:gallery.article, gallery_article:id:cover_id:gallery.article"),
    }

    "HTTP" {
        /// The IP address and the port to listen on. Where that is not a loopback address, webhooks need a secret.
        CFIMAGES_LISTEN: text("127.0.0.1:8000"),

        /// The IP address and the port at which Prometheus reads what the server counts, at `/metrics`, such as `127.0.0.1:9100`. Nobody has to
        /// prove anything there: keep it in the private network. None for not at all.
        CFIMAGES_METRICS_LISTEN: optional_text("127.0.0.1:9100"),

        /// The path below which everything but `/healthz` and `/readyz` is. Empty for none.
        CFIMAGES_URL_PREFIX: text("/cloudflare-images").or_empty(),

        /// The networks and addresses of proxies that are believed when they say, in `X-Forwarded-For`,
        /// `X-Forwarded-Proto` or `CF-Connecting-IP`, who the client is. Empty for none.
        CFIMAGES_TRUSTED_PROXIES: list("127.0.0.0/8, ::1").or_empty(),

        /// The hosts that requests may name: exact names, `.example.com` for a domain and all below it, `*` for any.
        /// A request for another host is answered with 400.
        CFIMAGES_ALLOWED_HOSTS: list("*"),

        /// The origins whose pages may use the API from a browser (CORS), as `https://www.example.com`, each with its port where that is not
        /// the usual one. They may also send cookies, so name none that you do not trust; to change something with a session of Django's
        /// they have to be in `CFIMAGES_CSRF_TRUSTED_ORIGINS` too. `*` for pages of any origin, without cookies.
        CFIMAGES_CORS_ORIGINS: optional_list("https://www.example.com, http://localhost:3000"),

        /// How long a request may take, in seconds, 1 to 3600.
        CFIMAGES_REQUEST_TIMEOUT_SECONDS: number("60"),

        /// How long the server goes on answering new requests when it is told to stop, in seconds, 0 to 3600. `/readyz` says so at once:
        /// long enough for a load balancer that asks it to send requests elsewhere. 0 where nothing asks.
        CFIMAGES_SHUTDOWN_DELAY_SECONDS: number("0"),

        /// How long requests in flight may still take when the server is told to stop, in seconds, 0 to 3600.
        CFIMAGES_SHUTDOWN_TIMEOUT_SECONDS: number("30"),
    }

    "Rate limits" {
        /// How many requests that make new images a user may send: `120/minute` for 120 at once and 120 within each minute after that, also
        /// per `second`, `hour` or `day`; `off` for as many as they like. Requests that nobody proved to have sent count for their address;
        /// each instance counts for itself. 600/minute where it is not set, and none where Cloudflare is an emulator on this machine: so
        /// with all limits here, whose usual values only a program gone wild meets.
        CFIMAGES_RATE_LIMIT_UPLOADS: optional_text("600/minute"),

        /// The same for webhooks, which count for the address they come from. 30000/minute where it is not set.
        CFIMAGES_RATE_LIMIT_WEBHOOKS: optional_text("30000/minute"),

        /// The same for passwords that are tried at the sign-in page from an address. 60/minute where it is not set. How many of them may
        /// be wrong is limited in any case, and by all instances together.
        CFIMAGES_RATE_LIMIT_SIGN_IN: optional_text("60/minute"),

        /// The same for requests that change nothing. 30000/minute where it is not set.
        CFIMAGES_RATE_LIMIT_READS: optional_text("30000/minute"),

        /// The same for all other requests. 12000/minute where it is not set.
        CFIMAGES_RATE_LIMIT_WRITES: optional_text("12000/minute"),
    }

    "Jobs" {
        /// Whether the server also asks Cloudflare about uploads of which no webhook told, and deletes or finds there what was left
        /// after a failure. Instances on one database share the work; one of them has to do it.
        CFIMAGES_JOBS: flag("true"),
    }

    "Signing in" {
        /// What proves who sends a request, in this order: `session`, a session of Django's, and `token`, an API token. One of the
        /// two alone is possible. Requests without a proof get 403 where sessions come first, and 401 where tokens do.
        CFIMAGES_AUTH_ORDER: list("session, token"),

        /// Django's `SECRET_KEY`. Without it no session of Django's is accepted.
        CFIMAGES_DJANGO_SECRET_KEY: secret("replace-with-the-secret-key-of-django"),

        /// Django's `SECRET_KEY_FALLBACKS`: keys that were in use before, separated by commas.
        CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS: secret_list("replace-with-an-older-secret-key-of-django"),

        /// Django's `SESSION_COOKIE_NAME`.
        CFIMAGES_DJANGO_SESSION_COOKIE: text("sessionid"),

        /// Django's `CSRF_COOKIE_NAME`.
        CFIMAGES_DJANGO_CSRF_COOKIE: text("csrftoken"),

        /// The header that carries the CSRF token, for Django's `CSRF_HEADER_NAME`: `X-CSRFToken` where that is
        /// `HTTP_X_CSRFTOKEN`.
        CFIMAGES_DJANGO_CSRF_HEADER: text("X-CSRFToken"),

        /// Django's `CSRF_TRUSTED_ORIGINS`: other origins whose pages may send requests with a session; `https://*.example.com`
        /// for a domain and all below it. Where Django has a `CSRF_COOKIE_DOMAIN`, name that domain here.
        CFIMAGES_CSRF_TRUSTED_ORIGINS: optional_list("https://www.example.com, https://*.example.org"),
    }

    "Logs" {
        /// What is logged, to stderr: `error`, `warn`, `info`, `debug` or `trace`, also by part of the program, as in
        /// `info,sqlx=warn`.
        CFIMAGES_LOG: text("info"),

        /// The form of the logs: `pretty` for people, `json` for machines, `auto` for pretty on a terminal, else JSON.
        CFIMAGES_LOG_FORMAT: text("auto"),

        /// The file that logs are appended to, instead of stderr; made where it is missing, for its owner and group alone. It may be moved
        /// away, removed or cut off at any time, as logrotate does; SIGHUP opens it anew.
        CFIMAGES_LOG_FILE: optional_text("/var/log/cfimages/cfimages.log"),

        /// How many milliseconds a statement of the database may take before a warning says which one did; 0 for any time.
        CFIMAGES_SLOW_QUERY_MS: number("500"),
    }

    "Instances" {
        /// How many instances of the server run beside one another, this one included, 1 to 100. They share the requests that may be
        /// made to Cloudflare.
        CFIMAGES_INSTANCES: number("1"),
    }

    "Account" {
        /// The id of the account at Cloudflare, from its dashboard. The server does not start without.
        CLOUDFLARE_IMAGES_ACCOUNT_ID: optional_text("0123456789abcdef0123456789abcdef"),

        /// An API token with the permission "Cloudflare Images: Edit". The server does not start without.
        CLOUDFLARE_IMAGES_API_TOKEN: secret("replace-with-an-api-token"),

        /// The URL of Cloudflare's API, or of an emulator of it.
        CLOUDFLARE_IMAGES_BASE_URL: text("https://api.cloudflare.com/client/v4"),

        /// Whether the server may listen on an address that others can reach although `CLOUDFLARE_IMAGES_BASE_URL` is an emulator, that is,
        /// without TLS.
        CLOUDFLARE_IMAGES_ALLOW_EMULATOR: flag("false"),

        /// How long a call to Cloudflare may take while somebody waits, all tries included, in seconds, 1 to 30. Jobs take three
        /// times as long. Uploads through the server have the time of their request instead.
        CLOUDFLARE_IMAGES_TIMEOUT_SECONDS: number("20"),

        /// How many milliseconds Cloudflare may take for a request before a warning says which one took longer; 0 for any time. Requests that
        /// move files do not count.
        CLOUDFLARE_IMAGES_SLOW_CALL_MS: number("3000"),

        /// How many requests may be made to Cloudflare in five minutes, by all instances together: 10 to 100000, and at least 4 for each
        /// of `CFIMAGES_INSTANCES`. 1000 where it is not set, and no limit for an emulator on this machine. Cloudflare takes 1200 of a
        /// user, those of the dashboard and of other programs included, and refuses everything for five minutes where there are more.
        CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES: optional_number("1000"),

        /// How many calls to Cloudflare may be in flight, 2 to 1000. Uploads through the server and jobs have half of them each.
        CLOUDFLARE_IMAGES_MAX_CONCURRENT_REQUESTS: number("64"),
    }

    "Uploads" {
        /// How many minutes an upload URL is valid where the application does not say. Cloudflare takes 2 to 360; numbers
        /// outside are moved to the nearer end.
        CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES: number("30"),

        /// Whether new images are private, that is, delivered by signed URLs only, where the application does not say.
        CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS: flag("true"),

        /// Metadata that every new image gets, under what the application adds. A table here, such as
        /// `{ app = "shop" }`, a JSON object in the environment, such as `{"app": "shop"}`.
        CLOUDFLARE_IMAGES_DEFAULT_METADATA: json("{}"),

        /// The creator of new images where the application does not name one, at most 255 characters.
        CLOUDFLARE_IMAGES_DEFAULT_CREATOR: optional_text("shop"),

        /// The most megabytes, of 1,000,000 bytes, of a file that is uploaded through the server, 1 to 100. Cloudflare takes 10; a
        /// larger number helps only those whose account may have more. Files that browsers send to Cloudflare themselves do not
        /// pass here. A file has about three quarters of `CFIMAGES_REQUEST_TIMEOUT_SECONDS`; the rest is kept for Cloudflare's answer.
        CLOUDFLARE_IMAGES_MAX_FILE_SIZE_MB: number("10"),

        /// The variant that thumbnails are delivered in.
        CLOUDFLARE_IMAGES_THUMBNAIL_VARIANT: text("thumbnail"),
    }

    "Delivery" {
        /// The account hash, the first part of every path of `imagedelivery.net`. Needed to build delivery URLs.
        CLOUDFLARE_IMAGES_ACCOUNT_HASH: optional_text("ZWd9g1K7eljCn_KDTu_MWA"),

        /// The key that the URLs of private images are signed with, from the dashboard. With it, private images also have signed URLs
        /// in their JSON; without it, `images/{id}/url/` asks Cloudflare once for the account's keys.
        CLOUDFLARE_IMAGES_SIGNING_KEY: secret("replace-with-a-signing-key"),

        /// The domain of your own that pictures are delivered from, instead of `imagedelivery.net`.
        CLOUDFLARE_IMAGES_DELIVERY_URL: optional_text("https://images.example.com"),

        /// The path before the account hash on that domain. Empty for none, as where a Worker delivers at the root.
        CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX: text("cdn-cgi/imagedelivery").or_empty(),

        /// Whether the account hash is a part of the paths of that domain.
        CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH: flag("true"),
    }

    "Webhooks" {
        /// The secret that webhooks prove themselves with. Without it every well-formed webhook is believed.
        CLOUDFLARE_IMAGES_WEBHOOK_SECRET: secret("replace-with-a-long-random-text"),

        /// Whether the server may listen on an address that others can reach without a secret for webhooks.
        CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED: flag("false"),

        /// How far the time that a webhook carries may be from ours, before or after, in seconds, 1 to 86400: `ts` in a notification
        /// of Cloudflare's, `time` in `Webhook-Signature`. 0 for any time. The same webhook within twice as long, or within ten
        /// minutes where that is longer, is a duplicate.
        CLOUDFLARE_IMAGES_WEBHOOK_MAX_AGE_SECONDS: number("300"),

        /// The networks and addresses that webhooks may come from; none for any. Behind a proxy, `CFIMAGES_TRUSTED_PROXIES` has to
        /// name it. Cloudflare publishes its own at `https://www.cloudflare.com/ips/`.
        CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS: optional_list("173.245.48.0/20, 2400:cb00::/32"),
    }
}
