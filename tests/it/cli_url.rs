//! `cfimages url`, as people run it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use cfimages::delivery::{DeliveryUrls, OPTIONS, PRESETS, SHORTHANDS};
use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::cli::{cfimages, text};
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cli_url::urls_have_the_shape_that_is_configured", shapes);
    suite.test("cli_url::presets_and_srcset_are_the_toolkits", presets);
    suite.test("cli_url::json_is_an_object_a_line", json_lines);
    suite.test("cli_url::what_is_wrong_with_options_is_told_at_once", wrong_options);
    suite.test("cli_url::ids_need_the_account_hash", ids);
    suite.test("cli_url::only_delivery_settings_matter", settings);
    suite.test("cli_url::bad_lines_are_told_by_their_number", bad_lines);
    suite.test("cli_url::each_line_is_answered_before_the_next_one_comes", line_by_line);
    suite.test("cli_url::many_lines_take_little_memory", many_lines);
    suite.test("cli_url::urls_come_apart", parse);
    suite.test("cli_url::what_is_signed_verifies_until_it_ends", signing);
    suite.test("cli_url::what_cannot_be_signed_or_verified_is_told_with_the_reason", not_signed);
    suite.test("cli_url::keys_come_from_cloudflare_where_none_is_set", keys_of_the_account);
    suite.test("cli_url::the_help_lists_all_options_and_presets", help);
}

const HOSTED: &str = "https://imagedelivery.net/hash-0001/products/42/hero/public";
const DOMAIN: (&str, &str) = ("CLOUDFLARE_IMAGES_DELIVERY_URL", "images.example.com");
const WORKER: [(&str, &str); 3] = [
    ("CLOUDFLARE_IMAGES_DELIVERY_URL", "https://img.example.org"),
    ("CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX", ""),
    ("CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH", "false"),
];

/// What a command printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn start(arguments: &[&str], environment: &[(&str, &str)]) -> (TempDir, Child) {
    let folder = TempDir::new().unwrap();
    let mut command = cfimages(folder.path(), &[&["url"], arguments].concat());
    command.envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    (folder, child)
}

fn run_with(arguments: &[&str], environment: &[(&str, &str)], stdin: &[u8]) -> Outcome {
    let (_folder, mut child) = start(arguments, environment);
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Those that read nothing may end before all is written.
    let writer = std::thread::spawn(move || drop(input.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn run(arguments: &[&str]) -> Outcome {
    run_with(arguments, &[], b"")
}

/// The line that a command prints which must succeed and say nothing else.
#[track_caller]
fn line(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let Outcome { code, stdout, stderr } = run_with(arguments, environment, b"");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
    stdout.strip_suffix('\n').unwrap().to_owned()
}

/// What a command says which must fail and print no result.
#[track_caller]
fn failure(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let Outcome { code, stdout, stderr } = run_with(arguments, environment, b"");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
    stderr.strip_prefix("error: ").unwrap().trim_end().to_owned()
}

async fn shapes() {
    let build = ["build", HOSTED, "width=300", "fit=cover", "h=200"];
    let options = "fit=cover,height=200,width=300";
    for (environment, want) in [
        (&[][..], format!("https://imagedelivery.net/hash-0001/products/42/hero/{options}")),
        (
            &[DOMAIN][..],
            format!("https://images.example.com/cdn-cgi/imagedelivery/hash-0001/products/42/hero/{options}"),
        ),
        (&WORKER[..], format!("https://img.example.org/products/42/hero/{options}")),
    ] {
        assert_eq!(line(&build, environment), want);
    }
    for (url, zone, want) in [
        ("/media/cat.jpg", None, "/cdn-cgi/image/width=1/media/cat.jpg"),
        ("/media/cat.jpg", Some("example.net"), "https://example.net/cdn-cgi/image/width=1/media/cat.jpg"),
        ("https://example.org/a?b=1", None, "https://example.org/cdn-cgi/image/width=1/a?b=1"),
        (
            "https://example.org/a",
            Some("example.net"),
            "https://example.net/cdn-cgi/image/width=1/https://example.org/a",
        ),
        (HOSTED, Some("example.net"), "https://imagedelivery.net/hash-0001/products/42/hero/width=1"),
    ] {
        let mut arguments = vec!["build", url, "w=1"];
        arguments.extend(zone.into_iter().flat_map(|zone| ["--zone", zone]));
        assert_eq!(line(&arguments, &[]), want);
    }
    assert_eq!(
        line(&["build", HOSTED], &[DOMAIN]),
        HOSTED.replace("imagedelivery.net", "images.example.com/cdn-cgi/imagedelivery")
    );
}

/// The strings are those of the toolkit.
async fn presets() {
    let base = "https://imagedelivery.net/other-hash/abc123";
    for (arguments, want) in [
        (&["thumbnail", base][..], "fit=cover,height=150,quality=85,width=150"),
        (&["avatar", base, "64"], "fit=cover,gravity=auto,height=64,quality=90,width=64"),
        (&["hero_image", base, "1600", "800"], "fit=cover,format=auto,gravity=auto,height=800,quality=85,width=1600"),
        (&["responsive", base, "640"], "fit=scale-down,format=auto,quality=85,width=640"),
        (&["mobile_optimized", base], "dpr=2.0,fit=scale-down,format=webp,quality=80,width=400"),
    ] {
        assert_eq!(line(&[&["preset"], arguments].concat(), &[]), format!("{base}/{want}"));
    }
    assert_eq!(
        failure(&["preset", "responsive", base], &[]),
        "responsive takes WIDTH [QUALITY=85], in pixels from 1 to 12000"
    );

    let candidate = |width: u32| {
        format!("https://img.example.org/products/42/hero/fit=scale-down,format=auto,quality=85,width={width} {width}w")
    };
    let want = format!("{}, {}, {}", candidate(320), candidate(640), candidate(1000));
    let srcset = ["srcset", HOSTED, "320,640,1024,1200", "--original-width", "1000"];
    assert_eq!(line(&srcset, &WORKER), want);
    assert_eq!(
        line(
            &["srcset", "/a", "1x,2x,3x", "width=100", "fit=crop", "--quality", "low", "--original-width", "200"],
            &[]
        ),
        "/cdn-cgi/image/fit=crop,format=auto,quality=low,width=100/a 1x, \
         /cdn-cgi/image/dpr=2.0,fit=crop,format=auto,quality=low,width=100/a 2x"
    );
    assert!(failure(&["srcset", "/a", "1x,2x"], &[]).contains("need width=... or height=..."));
    assert_eq!(failure(&["srcset", "/a", "0,1"], &[]), "width must be a whole number from 1 to 12000, or auto");
    assert_eq!(run(&["srcset", "/a", "1x,2"]).code, Some(2));
}

async fn json_lines() {
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let built = line(&["build", "/a", "dpr=2", "f=webp", "--json"], &[]);
    assert_eq!(
        parse(&built),
        json!({"url": "/cdn-cgi/image/dpr=2.0,format=webp/a", "options": {"dpr": 2.0, "format": "webp"}})
    );
    let outcome = run_with(&["preset", "thumbnail", "-", "9", "--json"], &[], b"/a\n/b\n");
    let urls: Vec<Value> = outcome.stdout.lines().map(|line| parse(line)["url"].clone()).collect();
    let options = "/cdn-cgi/image/fit=cover,height=9,quality=85,width=9";
    assert_eq!(urls, [json!(format!("{options}/a")), json!(format!("{options}/b"))]);
    let srcset = line(&["srcset", "/a", "5", "--json"], &[]);
    assert_eq!(parse(&srcset), json!({"srcset": "/cdn-cgi/image/fit=scale-down,format=auto,quality=85,width=5/a 5w"}));
}

async fn wrong_options() {
    let message = failure(&["build", HOSTED, "w=0", "rotate=45", "nope=1", "q=50", "quality=60", "border=1"], &[]);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 5, "{message}");
    assert_eq!(lines[0], "width must be a whole number from 1 to 12000, or auto");
    assert_eq!(lines[1], "rotate must be one of: 0, 90, 180, 270, 360");
    assert!(lines[2].starts_with("nope is not an option; there are: anim, "), "{message}");
    assert_eq!(lines[3], "quality is given more than once");
    assert!(lines[4].starts_with("border is one of Workers only"), "{message}");

    assert!(failure(&["build", HOSTED, "zoom=0.5"], &[]).contains("zoom needs gravity=face"));
    assert!(failure(&["build", HOSTED, "onerror=redirect"], &[]).contains("onerror is for pictures of a zone only"));
    let signed = format!("{HOSTED}?exp=1700000000&sig=00ff");
    let refused = failure(&["build", &signed, "w=1"], &[]);
    assert!(refused.contains("private pictures are delivered in named variants only") && !refused.contains("00ff"));
    assert_eq!(failure(&["build", "data:x", "w=1"], &[]), "the URL must be an http:// or https:// URL, or a path");
    for arguments in [&["build", "/a", "width"][..], &["build", "/a", "--zone", "a/b"], &["preset", "nope", "/a"]] {
        let outcome = run(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    }
}

async fn ids() {
    let build = ["build", "--id", "products/42 %", "width=1"];
    assert_eq!(failure(&build, &[]), "--id needs CLOUDFLARE_IMAGES_ACCOUNT_HASH to be set");
    let hash = [("CLOUDFLARE_IMAGES_ACCOUNT_HASH", "h")];
    assert_eq!(line(&build, &hash), "https://imagedelivery.net/h/products/42%20%25/width=1");
    assert_eq!(line(&build, &WORKER), "https://img.example.org/products/42%20%25/width=1");
}

async fn settings() {
    let others = [
        ("DATABASE_URL", "mysql://nowhere"),
        ("CFIMAGES_LISTEN", "nonsense"),
        ("CFIMAGES_DJANGO_SECRET_KEY_FILE", "/does/not/exist"),
    ];
    assert_eq!(line(&["build", "/a", "w=1"], &others), "/cdn-cgi/image/width=1/a");
    let wrong = failure(&["build", "/a"], &[("CLOUDFLARE_IMAGES_DELIVERY_URL", "a/b")]);
    assert!(wrong.contains("CLOUDFLARE_IMAGES_DELIVERY_URL (environment): must be a domain"), "{wrong}");
}

async fn bad_lines() {
    let long = [b"/".as_slice(), &b"x".repeat(100_000)].concat();
    let escape = b"https://example.org/cdn-cgi/image/\x1b[31m=1/a";
    let input =
        [b"/a\r\n\n \n//\n".as_slice(), HOSTED.as_bytes(), b"\n\xff\n", &long, b"\n", escape, b"\n/last"].concat();
    let outcome = run_with(&["build", "-", "w=1"], &[], &input);
    assert_eq!(outcome.code, Some(1));
    let printed: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(printed.len(), 4, "{}", outcome.stdout);
    assert_eq!(printed[0], "/cdn-cgi/image/width=1/a");
    assert_eq!(printed[1], "https://imagedelivery.net/hash-0001/products/42/hero/width=1");
    assert_eq!(printed[3], "/cdn-cgi/image/width=1/last");
    assert_eq!(
        outcome.stderr,
        "error: line 4: the URL must not be empty\nerror: line 6: the line is not UTF-8\n\
         error: line 7: the line is too long for a URL\n"
    );

    let outcome = run_with(&["parse", "-"], &[], &[escape.as_slice(), b"\n"].concat());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(outcome.stderr.starts_with("error: line 1: %1B[31m is not an option"), "{}", outcome.stderr);
    assert_eq!(run_with(&["build", "-", "w=1"], &[], b"").code, Some(0));
}

/// A pipe stays open, and the answer is there all the same.
async fn line_by_line() {
    let (_folder, mut child) = start(&["build", "-", "w=1"], &[]);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for name in ["a", "b", "c"] {
        writeln!(input, "/{name}").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("/cdn-cgi/image/width=1/{name}\n"));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

async fn many_lines() {
    const LINES: usize = 100_000;
    let (_folder, mut child) = start(&["build", "-", "w=1"], &[]);
    let mut input = std::io::BufWriter::new(child.stdin.take().unwrap());
    let writer = std::thread::spawn(move || {
        for number in 0..LINES {
            writeln!(input, "/{number}").unwrap();
        }
        // All but the last lines have been read by now, and the command is still there to be looked at.
        input.flush().unwrap();
        input
    });
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in 0..LINES {
        assert_eq!(answers.next().unwrap().unwrap(), format!("/cdn-cgi/image/width=1/{number}"));
    }
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u32 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 64 * 1024, "{kilobytes} kB");
    }
    drop(writer.join().unwrap());
    assert!(child.wait().unwrap().success());
}

async fn parse() {
    let parsed = |url: &str, environment: &[(&str, &str)]| -> Value {
        serde_json::from_str(&line(&["parse", url, "--json"], environment)).unwrap()
    };
    assert_eq!(
        parsed(&HOSTED.replace("/public", "/w=300,f=auto"), &[]),
        json!({
            "picture": HOSTED, "id": "products/42/hero", "variant": null,
            "options": {"format": "auto", "width": 300},
        })
    );
    assert_eq!(parsed(HOSTED, &WORKER)["picture"], "https://img.example.org/products/42/hero/public");
    assert_eq!(
        parsed("https://img.example.org/caf%C3%A9/hero", &WORKER),
        json!({"picture": "https://img.example.org/caf%C3%A9/hero", "id": "café", "variant": "hero", "options": {}})
    );
    assert_eq!(
        line(&["parse", "https://example.com/cdn-cgi/image/w=300,fit=cover/media/cat.jpg"], &[]),
        "picture  https://example.com/media/cat.jpg\noptions  fit=cover,width=300"
    );
    assert_eq!(line(&["parse", HOSTED], &[]), format!("picture  {HOSTED}\nid       products/42/hero\nvariant  public"));
    assert!(failure(&["parse", "/cdn-cgi/image/width=0/a"], &[]).starts_with("width must be"));
}

const KEY: &str = "the-signing-key";
const KEY_SET: (&str, &str) = ("CLOUDFLARE_IMAGES_SIGNING_KEY", KEY);

fn seconds_of(query: &str) -> i64 {
    query.split(['?', '&']).find_map(|pair| pair.strip_prefix("exp=")).unwrap().parse().unwrap()
}

async fn signing() {
    let now = || cfimages::domain::Clock::now(&cfimages::app::SystemClock).as_unix_seconds();
    for (arguments, seconds) in [(&["sign", HOSTED][..], 3600), (&["sign", HOSTED, "--expiry", "60"], 60)] {
        let before = now();
        let signed = line(arguments, &[KEY_SET]);
        assert!((before + seconds..=now() + seconds).contains(&seconds_of(&signed)), "{signed}");
        assert_eq!(signed, DeliveryUrls::default().sign(HOSTED, KEY, seconds_of(&signed)).unwrap());
        let verified = line(&["verify", &signed], &[KEY_SET]);
        assert!(verified.starts_with("valid until 20"), "{verified}");
        let reason = failure(&["verify", &signed], &[("CLOUDFLARE_IMAGES_SIGNING_KEY", "another")]);
        assert_eq!(reason, "the URL signature does not match");
    }

    // On any domain it is the short path that is signed.
    let hash = ("CLOUDFLARE_IMAGES_ACCOUNT_HASH", "hash-0001");
    let worker = [&WORKER[..], &[KEY_SET, hash]].concat();
    let url = "https://img.example.org/products/42/hero/public";
    let signed: Value = serde_json::from_str(&line(&["sign", url, "--json"], &worker)).unwrap();
    let (own, expires_at) = (signed["url"].as_str().unwrap(), signed["expires_at"].as_str().unwrap());
    let shared = DeliveryUrls::default().sign(HOSTED, KEY, seconds_of(own)).unwrap();
    assert_eq!(own.split_once('?').unwrap(), (url, shared.split_once('?').unwrap().1));
    let verified: Value = serde_json::from_str(&line(&["verify", own, "--json"], &worker)).unwrap();
    assert_eq!(verified, json!({"valid": true, "expires_at": expires_at, "reason": null}));

    let endless = run_with(&["sign", HOSTED, "--no-expiry"], &[KEY_SET], b"");
    assert_eq!(endless.code, Some(0));
    assert!(endless.stderr.starts_with("warning: Cloudflare does not say that it accepts"), "{}", endless.stderr);
    let endless = endless.stdout.trim_end();
    assert!(endless.contains("?sig=") && !endless.contains("exp="));
    assert_eq!(line(&["verify", endless], &[KEY_SET]), "valid, without an end");
}

async fn not_signed() {
    let flexible = "https://imagedelivery.net/h/i/width=300";
    for (url, reason) in [
        ("https://example.org/a/b/c", "the URL is no delivery URL"),
        ("https://imagedelivery.net/h/i", "the URL has no variant"),
        (flexible, "the URL has options for a variant, and private pictures are delivered in named variants only"),
    ] {
        assert!(failure(&["sign", url], &[KEY_SET]).starts_with(reason), "{url}");
        assert!(failure(&["verify", url], &[KEY_SET]).starts_with(reason), "{url}");
    }
    for arguments in [&["sign", HOSTED, "--expiry", "0"][..], &["sign", HOSTED, "--expiry", "9", "--no-expiry"]] {
        assert_eq!(run_with(arguments, &[KEY_SET], b"").code, Some(2));
    }

    let ended = DeliveryUrls::default().sign(HOSTED, KEY, 1_700_000_000).unwrap();
    let good = line(&["sign", HOSTED], &[KEY_SET]);
    let outcome = run_with(&["verify", "-", "--json"], &[KEY_SET], format!("{ended}\n{HOSTED}\n{good}\n").as_bytes());
    assert_eq!(outcome.code, Some(1));
    let (ended, unsigned) = ("the signed URL has expired", "the URL is not signed");
    assert_eq!(outcome.stderr, format!("error: line 1: {ended}\nerror: line 2: {unsigned}\n"));
    let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"valid": false, "expires_at": null, "reason": ended}));
    assert_eq!(lines[1], json!({"valid": false, "expires_at": null, "reason": unsigned}));
    assert_eq!((lines.len(), &lines[2]["valid"]), (3, &json!(true)));

    for command in ["sign", "verify"] {
        let missing = failure(&[command, HOSTED], &[]);
        for setting in ["SIGNING_KEY", "ACCOUNT_ID", "API_TOKEN"] {
            assert!(missing.contains(&format!("CLOUDFLARE_IMAGES_{setting}")), "{missing}");
        }
    }
}

async fn keys_of_the_account() {
    let cloudflare = MockServer::start().await;
    let keys = json!([{"name": "default", "value": KEY}, {"name": "older", "value": "older-key"}]);
    let answer = json!({"success": true, "errors": [], "messages": [], "result": {"keys": keys}});
    Mock::given(path("/accounts/acct/images/v1/keys"))
        .and(header("Authorization", "Bearer secret-token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(2)
        .mount(&cloudflare)
        .await;
    let base_url = cloudflare.uri();
    let account = [
        ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct"),
        ("CLOUDFLARE_IMAGES_API_TOKEN", "secret-token"),
        ("CLOUDFLARE_IMAGES_BASE_URL", base_url.as_str()),
    ];
    // However many URLs there are, Cloudflare is asked once.
    let signed = run_with(&["sign", "-"], &account, format!("{HOSTED}\n{HOSTED}\n").as_bytes());
    assert_eq!((signed.code, signed.stdout.lines().count()), (Some(0), 2), "{}", signed.stderr);
    let newest = signed.stdout.lines().next().unwrap();
    let older = DeliveryUrls::default().sign(HOSTED, "older-key", seconds_of(newest)).unwrap();
    let verified = run_with(&["verify", "-"], &account, format!("{newest}\n{older}\n").as_bytes());
    assert_eq!((verified.code, verified.stdout.lines().count()), (Some(0), 2), "{}", verified.stderr);
    cloudflare.verify().await;

    cloudflare.reset().await;
    let refused = failure(&["sign", HOSTED], &account);
    assert!(refused.starts_with("Cloudflare cannot be asked for the signing keys"), "{refused}");
    assert!(!refused.contains("secret-token"));
}

async fn help() {
    let build = line(&["build", "--help"], &[]);
    for option in OPTIONS.iter().chain(SHORTHANDS) {
        assert!(build.contains(&format!("  {}", option.name)), "{}", option.name);
    }
    let presets = line(&["preset", "--help"], &[]);
    for preset in PRESETS {
        assert!(presets.contains(preset.name) && presets.contains(preset.sizes), "{}", preset.name);
    }
    for command in ["build", "preset", "srcset", "sign", "parse"] {
        assert!(line(&[command, "-h"], &[]).contains("Examples:\n  cfimages url "), "{command}");
    }
}
