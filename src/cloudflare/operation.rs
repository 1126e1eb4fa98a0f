//! What Cloudflare's API can be asked to do.

use std::fmt;

/// A call of the API, for those who watch over calls and for the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Creates a draft and the one-time URL of its upload.
    CreateDirectUpload,
    /// Makes an image of a file.
    UploadFile,
    /// Has Cloudflare fetch a picture and make an image of it.
    UploadFromUrl,
    /// Looks at an image.
    GetImage,
    /// Changes metadata, privacy or creator of an image.
    UpdateImage,
    /// Deletes an image or a draft.
    DeleteImage,
    /// Reads a page of the list of images.
    ListImages,
    /// Reads a page of the older list of images.
    ListImagesByNumber,
    /// Lists the keys that URLs are signed with.
    ListSigningKeys,
    /// Looks at a destination of notifications.
    GetWebhookDestination,
    /// Lists the destinations of notifications.
    ListWebhookDestinations,
    /// Makes a destination of notifications.
    CreateWebhookDestination,
    /// Changes a destination of notifications.
    UpdateWebhookDestination,
    /// Deletes a destination of notifications.
    DeleteWebhookDestination,
    /// Lists what is told to whom.
    ListNotificationPolicies,
    /// Looks at a policy of notifications.
    GetNotificationPolicy,
    /// Makes a policy of notifications.
    CreateNotificationPolicy,
    /// Changes a policy of notifications.
    UpdateNotificationPolicy,
    /// Deletes a policy of notifications.
    DeleteNotificationPolicy,
    /// Has a test alert sent.
    TestNotificationPolicy,
}

impl Operation {
    /// The most bytes of an answer that are read. Of lists that is enough for pages of usual images, and for ten of the largest
    /// that Cloudflare allows: 100 variants with an id of 1,024 characters in each URL, every one of four bytes, escaped.
    pub(super) fn max_answer_bytes(self) -> usize {
        match self {
            Self::ListImages | Self::ListImagesByNumber => 16 * 1024 * 1024,
            _ => 4 * 1024 * 1024,
        }
    }

    /// The name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateDirectUpload => "create_direct_upload",
            Self::UploadFile => "upload_file",
            Self::UploadFromUrl => "upload_from_url",
            Self::GetImage => "get_image",
            Self::UpdateImage => "update_image",
            Self::DeleteImage => "delete_image",
            Self::ListImages => "list_images",
            Self::ListImagesByNumber => "list_images_by_number",
            Self::ListSigningKeys => "list_signing_keys",
            Self::GetWebhookDestination => "get_webhook_destination",
            Self::ListWebhookDestinations => "list_webhook_destinations",
            Self::CreateWebhookDestination => "create_webhook_destination",
            Self::UpdateWebhookDestination => "update_webhook_destination",
            Self::DeleteWebhookDestination => "delete_webhook_destination",
            Self::ListNotificationPolicies => "list_notification_policies",
            Self::GetNotificationPolicy => "get_notification_policy",
            Self::CreateNotificationPolicy => "create_notification_policy",
            Self::UpdateNotificationPolicy => "update_notification_policy",
            Self::DeleteNotificationPolicy => "delete_notification_policy",
            Self::TestNotificationPolicy => "test_notification_policy",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
