//! The endpoint that Cloudflare and the toolkit's senders call.
