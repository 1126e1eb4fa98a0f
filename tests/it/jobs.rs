//! What the server does beside answering requests.

use cfimages::app::SystemClock;
use cfimages::domain::Clock;
use tempfile::TempDir;

use crate::cli::{Server, cfimages, environment, free_address, wait_until_ready};
use crate::support::app::migrated_database;
use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::ImageRow;
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("jobs::the_server_does_them_until_it_stops_unless_they_are_off", served);
}

async fn served(engine: Engine) {
    let (url, folder, cloudflare) =
        (migrated_database(&engine).await, TempDir::new().unwrap(), FakeCloudflare::start().await);
    let yesterday = SystemClock.now().minus_days(1).to_string();
    let expired = ImageRow { number: 1, status: "pending", created_at: &yesterday, expires_at: &yesterday };
    expired.insert(url.as_str()).await;
    cloudflare.has_picture("img-1");
    let listen = free_address();
    let start = |jobs: &str| {
        let mut command = cfimages(folder.path(), &["serve", "--listen", &listen]);
        command.envs(environment(url.as_str())).env("CFIMAGES_JOBS", jobs);
        Server::start(command.env("CLOUDFLARE_IMAGES_BASE_URL", &cloudflare.base_url))
    };
    let server = start("false");
    wait_until_ready(&listen).await;
    let (code, log) = server.stop();
    assert!(code == Some(0) && !log.contains("The job "), "{code:?} {log}");
    assert!(cloudflare.calls().is_empty());

    let server = start("true");
    wait_until_ready(&listen).await;
    let uploaded = "SELECT count(*) FROM cloudflare_images WHERE status = 'uploaded'";
    eventually("the image is uploaded", async || (sql::count(url.as_str(), uploaded).await == 1).then_some(())).await;
    let (code, log) = tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("asked Cloudflare about 1 unfinished images; 1 have changed"), "{log}");
    assert_eq!(cloudflare.calls(), ["GET images/v1/img-1"]);
}
