//! Assembly: state, router, listeners, life cycle, logs. Nothing here decides anything about images.

mod health;
mod lifecycle;
mod log_file;
mod metrics;
mod process;
mod router;
mod serve;
mod state;
mod system_clock;
mod telemetry;
mod welcome;

pub use lifecycle::{Lifecycle, stop_signal};
pub use metrics::router as metrics_router;
pub use router::{build as build_router, openapi};
pub use serve::{BindError, bind, serve};
pub use state::{AppState, build_service, cloudflare_client, image_links, open_database};
pub use system_clock::SystemClock;
pub use telemetry::init as init_telemetry;
