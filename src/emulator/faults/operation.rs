//! The operations that faults can be aimed at.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use serde::{Deserialize, Serialize};

/// One operation of the emulator. In JSON the names are in snake case: `create_direct_upload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it all, and the table below the rest")]
pub enum Operation {
    CreateDirectUpload,
    /// `POST images/v1/direct_upload`, the deprecated form.
    CreateDirectUploadV1,
    CreateBatchToken,
    /// `POST` to a one-time upload URL.
    UploadToUrl,
    /// `POST images/v1`, of a file or from a URL.
    UploadImage,
    GetImage,
    UpdateImage,
    DeleteImage,
    GetBlob,
    ListImagesV1,
    ListImagesV2,
    ListMetadataKeys,
    GetStats,
    ListKeys,
    CreateKey,
    DeleteKey,
    ListVariants,
    CreateVariant,
    GetVariant,
    GetFlatVariant,
    UpdateVariant,
    DeleteVariant,
    UpdateConfig,
    ListWebhooks,
    CreateWebhook,
    GetWebhook,
    UpdateWebhook,
    DeleteWebhook,
    ListPolicies,
    CreatePolicy,
    GetPolicy,
    UpdatePolicy,
    DeletePolicy,
    TestPolicy,
    /// `GET` of a picture. Only faults that name it are aimed at it.
    Deliver,
}

/// The route of a one-time upload URL.
pub(in crate::emulator) const UPLOAD_URL: &str = "/upload/{account_hash}/{image_id}";
/// What is before the paths of the host for batches.
pub(in crate::emulator) const BATCH: &str = "/images";
/// What is before the routes in the table.
const API: &str = "/client/v4/accounts/{account_id}/";

/// The operations of the REST API: method, route and operation.
const ROUTES: [(Method, &str, Operation); 33] = [
    (Method::POST, "images/v2/direct_upload", Operation::CreateDirectUpload),
    (Method::POST, "images/v1/direct_upload", Operation::CreateDirectUploadV1),
    (Method::GET, "images/v1/batch_token", Operation::CreateBatchToken),
    (Method::POST, "images/v1", Operation::UploadImage),
    (Method::GET, "images/v1/{image_id}", Operation::GetImage),
    (Method::PATCH, "images/v1/{image_id}", Operation::UpdateImage),
    (Method::DELETE, "images/v1/{image_id}", Operation::DeleteImage),
    (Method::GET, "images/v1/{image_id}/blob", Operation::GetBlob),
    (Method::GET, "images/v1", Operation::ListImagesV1),
    (Method::GET, "images/v2", Operation::ListImagesV2),
    (Method::GET, "images/v2/metadata/keys", Operation::ListMetadataKeys),
    (Method::GET, "images/v1/stats", Operation::GetStats),
    (Method::GET, "images/v1/keys", Operation::ListKeys),
    (Method::PUT, "images/v1/keys/{name}", Operation::CreateKey),
    (Method::DELETE, "images/v1/keys/{name}", Operation::DeleteKey),
    (Method::GET, "images/v1/variants", Operation::ListVariants),
    (Method::POST, "images/v1/variants", Operation::CreateVariant),
    (Method::GET, "images/v1/variants/{variant_id}", Operation::GetVariant),
    (Method::GET, "images/v1/variants/{variant_id}/flat", Operation::GetFlatVariant),
    (Method::PATCH, "images/v1/variants/{variant_id}", Operation::UpdateVariant),
    (Method::DELETE, "images/v1/variants/{variant_id}", Operation::DeleteVariant),
    (Method::PATCH, "images/v1/config", Operation::UpdateConfig),
    (Method::GET, "alerting/v3/destinations/webhooks", Operation::ListWebhooks),
    (Method::POST, "alerting/v3/destinations/webhooks", Operation::CreateWebhook),
    (Method::GET, "alerting/v3/destinations/webhooks/{id}", Operation::GetWebhook),
    (Method::PUT, "alerting/v3/destinations/webhooks/{id}", Operation::UpdateWebhook),
    (Method::DELETE, "alerting/v3/destinations/webhooks/{id}", Operation::DeleteWebhook),
    (Method::GET, "alerting/v3/policies", Operation::ListPolicies),
    (Method::POST, "alerting/v3/policies", Operation::CreatePolicy),
    (Method::GET, "alerting/v3/policies/{id}", Operation::GetPolicy),
    (Method::PUT, "alerting/v3/policies/{id}", Operation::UpdatePolicy),
    (Method::DELETE, "alerting/v3/policies/{id}", Operation::DeletePolicy),
    (Method::POST, "alerting/v3/policies/{id}/test", Operation::TestPolicy),
];

impl Operation {
    /// What a request to the REST API, to the host for batches or to an upload URL asks for; `None` where that is nothing the emulator does.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        if route == UPLOAD_URL {
            return (request.method() == Method::POST).then_some(Self::UploadToUrl);
        }
        let route = route.strip_prefix(API).or_else(|| route.strip_prefix('/').filter(|_| route.starts_with(BATCH)))?;
        ROUTES.iter().find(|(of, known, _)| of == request.method() && *known == route).map(|(.., operation)| *operation)
    }

    /// The operations of the REST API with their methods and paths.
    #[cfg(test)]
    pub(in crate::emulator) fn routes() -> impl Iterator<Item = (Method, &'static str, Self)> {
        ROUTES.into_iter()
    }
}
