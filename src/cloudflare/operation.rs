//! What Cloudflare's API can be asked to do.

use std::fmt;

/// When a call that failed may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Whatever has become of it: done twice, it comes to the same as done once.
    Always,
    /// Only where it cannot have had its effect, see [`Error::may_have_taken_effect`](super::Error::may_have_taken_effect): twice is
    /// once too often. Whoever needs to know what became of it has to look.
    WithoutEffect,
}

/// The table of all operations.
macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $operation:ident: $name:literal, $repeat:ident;)+) => {
        /// A call of the API, for those who watch over calls and for the logs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[doc = $doc])+ $operation,)+
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$operation),+];

            /// The name in logs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$operation => $name,)+
                }
            }

            /// When it may be done again.
            pub fn repeat(self) -> Repeat {
                match self {
                    $(Self::$operation => Repeat::$repeat,)+
                }
            }
        }
    };
}

operations! {
    /// Creates a draft and the one-time URL of its upload.
    CreateDirectUpload: "create_direct_upload", WithoutEffect;
    /// Makes an image of a file.
    UploadFile: "upload_file", WithoutEffect;
    /// Has Cloudflare fetch a picture and make an image of it.
    UploadFromUrl: "upload_from_url", WithoutEffect;
    /// Looks at an image.
    GetImage: "get_image", Always;
    /// Gets the bytes of an image.
    DownloadImage: "download_image", Always;
    /// Changes metadata, privacy or creator of an image, which may get another id.
    UpdateImage: "update_image", WithoutEffect;
    /// Deletes an image or a draft.
    DeleteImage: "delete_image", Always;
    /// Reads a page of the list of images.
    ListImages: "list_images", Always;
    /// Reads a page of the older list of images.
    ListImagesByNumber: "list_images_by_number", Always;
    /// Counts the images of the account.
    GetImageStats: "get_image_stats", Always;
    /// Changes settings of the account.
    UpdateImageSettings: "update_image_settings", Always;
    /// Lists the keys that URLs are signed with.
    ListSigningKeys: "list_signing_keys", Always;
    /// Makes a key to sign URLs with.
    CreateSigningKey: "create_signing_key", WithoutEffect;
    /// Deletes a key that URLs are signed with.
    DeleteSigningKey: "delete_signing_key", Always;
    /// Lists the named variants.
    ListVariants: "list_variants", Always;
    /// Looks at a named variant.
    GetVariant: "get_variant", Always;
    /// Makes a named variant.
    CreateVariant: "create_variant", WithoutEffect;
    /// Changes a named variant.
    UpdateVariant: "update_variant", Always;
    /// Deletes a named variant.
    DeleteVariant: "delete_variant", Always;
    /// Looks at a destination of notifications.
    GetWebhookDestination: "get_webhook_destination", Always;
    /// Lists the destinations of notifications.
    ListWebhookDestinations: "list_webhook_destinations", Always;
    /// Makes a destination of notifications.
    CreateWebhookDestination: "create_webhook_destination", WithoutEffect;
    /// Changes a destination of notifications.
    UpdateWebhookDestination: "update_webhook_destination", Always;
    /// Deletes a destination of notifications.
    DeleteWebhookDestination: "delete_webhook_destination", Always;
    /// Lists what is told to whom.
    ListNotificationPolicies: "list_notification_policies", Always;
    /// Looks at a policy of notifications.
    GetNotificationPolicy: "get_notification_policy", Always;
    /// Makes a policy of notifications.
    CreateNotificationPolicy: "create_notification_policy", WithoutEffect;
    /// Changes a policy of notifications.
    UpdateNotificationPolicy: "update_notification_policy", Always;
    /// Deletes a policy of notifications.
    DeleteNotificationPolicy: "delete_notification_policy", Always;
    /// Has a test alert sent.
    TestNotificationPolicy: "test_notification_policy", WithoutEffect;
}

impl Operation {
    /// What the API token must be allowed to do; that to write also allows to read.
    pub(super) fn permission(self) -> &'static str {
        match self {
            Self::GetImage
            | Self::DownloadImage
            | Self::ListImages
            | Self::ListImagesByNumber
            | Self::GetImageStats
            | Self::ListSigningKeys
            | Self::ListVariants
            | Self::GetVariant => "Images Read",
            Self::CreateDirectUpload
            | Self::UploadFile
            | Self::UploadFromUrl
            | Self::UpdateImage
            | Self::DeleteImage
            | Self::UpdateImageSettings
            | Self::CreateSigningKey
            | Self::DeleteSigningKey
            | Self::CreateVariant
            | Self::UpdateVariant
            | Self::DeleteVariant => "Images Write",
            Self::GetWebhookDestination
            | Self::ListWebhookDestinations
            | Self::ListNotificationPolicies
            | Self::GetNotificationPolicy => "Notifications Read",
            Self::CreateWebhookDestination
            | Self::UpdateWebhookDestination
            | Self::DeleteWebhookDestination
            | Self::CreateNotificationPolicy
            | Self::UpdateNotificationPolicy
            | Self::DeleteNotificationPolicy
            | Self::TestNotificationPolicy => "Notifications Write",
        }
    }

    /// The most bytes of an answer that are read. Of lists that is enough for pages of usual images, and for ten of the largest
    /// that Cloudflare allows: 100 variants with an id of 1,024 characters in each URL, every one of four bytes, escaped.
    pub(super) fn max_answer_bytes(self) -> usize {
        match self {
            Self::ListImages | Self::ListImagesByNumber => 16 * 1024 * 1024,
            _ => 4 * 1024 * 1024,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
