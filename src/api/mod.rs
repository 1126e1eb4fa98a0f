//! The JSON API, wire-compatible with the toolkit.
