//! The client of Cloudflare's REST API.
