//! A look-alike of Cloudflare Images for development and tests.
