//! What building URLs costs where the library is built for speed, as applications do that use it. The budget of a thumbnail is 300 ns:
//!
//! ```sh
//! cargo bench --no-default-features --bench delivery --config 'profile.release.opt-level=3'
//! ```
//!
//! The server, whose binary is built small, takes some 500 ns, which is nothing beside the request that asks for it.

use std::hint::black_box;

use cfimages::delivery::{DeliveryShape, DeliveryUrls, Picture, Preset, Transform, srcset};
use criterion::{Criterion, criterion_group, criterion_main};

const URL: &str = "https://imagedelivery.net/Vi7wi5KSItxGFsWRG2Us6Q/2cdc28f0-017a-49c4-9ed7-87056c839010/public";

fn thumbnail(urls: &DeliveryUrls, url: &str) -> String {
    let picture = Picture::new(urls, url).expect("a delivery URL");
    Preset::Thumbnail { size: 150 }.transform().and_then(|transform| transform.build(&picture)).expect("a preset")
}

fn delivery(c: &mut Criterion) {
    let shared = DeliveryUrls::default();
    let shape = DeliveryShape { delivery_url: Some("images.example.com".to_owned()), ..DeliveryShape::default() };
    let custom = DeliveryUrls::new(None, &shape);
    c.bench_function("thumbnail", |b| b.iter(|| thumbnail(&shared, black_box(URL))));
    c.bench_function("thumbnail on a custom domain", |b| b.iter(|| thumbnail(&custom, black_box(URL))));
    c.bench_function("srcset of four widths", |b| {
        let picture = Picture::new(&shared, URL).expect("a delivery URL");
        let transform = Transform::new();
        b.iter(|| srcset(black_box(&picture), &transform, &[320, 640, 1024, 1920], None));
    });
    c.bench_function("parse", |b| {
        let url = thumbnail(&shared, URL);
        b.iter(|| Transform::parse(&shared, black_box(&url)).map(|(_, transform)| transform));
    });
    c.bench_function("build by id", |b| {
        let urls = DeliveryUrls::new(Some("Vi7wi5KSItxGFsWRG2Us6Q".to_owned()), &DeliveryShape::default());
        b.iter(|| urls.build(black_box("2cdc28f0-017a-49c4-9ed7-87056c839010"), "public"));
    });
}

criterion_group!(benches, delivery);
criterion_main!(benches);
