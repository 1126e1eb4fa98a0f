//! What every listener of the service needs: who is asking, access logs, limits, bodies, pages.

pub mod access_log;
pub mod assets;
pub mod body;
pub mod context;
pub mod cookies;
pub mod cors;
pub mod entity_tag;
pub mod hosts;
pub mod media_type;
pub mod multipart;
pub mod query;
pub mod rate_limit;
pub mod security_headers;
pub mod streamed;
pub mod timeout;
pub mod unread;
pub mod write_timeout;

pub use context::RequestContext;
pub use cookies::Cookies;
pub use entity_tag::EntityTag;
