//! Why a use case failed.

use std::sync::Arc;

use crate::delivery::SignError;
use crate::domain::{CloudflareId, StaffEdit, Timestamp};
use crate::{cloudflare, store};

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such image, or it is somebody else's.
    #[error("there is no such image")]
    NotFound,
    /// The custom id is taken.
    #[error("an image with this custom ID exists")]
    CustomIdTaken,
    /// Cloudflare does not allow the custom id. The text is Cloudflare's.
    #[error("{0}")]
    CustomIdRefused(String),
    /// A picture that was to be uploaded is not accepted.
    #[error(transparent)]
    Picture(#[from] PictureProblem),
    /// Cloudflare does not allow private images with a custom id.
    #[error("images with a custom ID cannot be private")]
    CustomIdCannotBePrivate,
    /// Content refers to the image. The text is the toolkit's.
    #[error("Image is still referenced by content.")]
    InUse,
    /// Rows of the application refer to the image and cannot be without it.
    #[error(
        "{rows} {} of the table {table} {} this image. Change or delete {} first, or list the table in \
         CFIMAGES_HOST_DELETE_TABLES, so that such rows are deleted with their image.",
        if *rows == 1 { "row" } else { "rows" }, if *rows == 1 { "requires" } else { "require" }, if *rows == 1 { "it" } else { "them" }
    )]
    RequiredByHost {
        /// The table, with its schema where that is not on the search path.
        table: String,
        /// How many of its rows there are.
        rows: u64,
    },
    /// Cloudflare does not let an image with a custom id become private.
    #[error("an image with a custom ID cannot become private")]
    CustomIdCannotBecomePrivate,
    /// Something else is being done with what is, or was left, under this id at Cloudflare.
    #[error("something else is being done with {0} at Cloudflare. Try again in a moment.")]
    BeingCleared(CloudflareId),
    /// Cloudflare may still be at what was asked of it before, so that nothing can be concluded from what is there now.
    #[error("what came of an earlier request for {id} at Cloudflare is not certain before {until}. Try again then.")]
    NotCertainYet {
        /// The id at Cloudflare.
        id: CloudflareId,
        /// When it is certain.
        until: Timestamp,
    },
    /// Another version of the program noted that something has to be seen to under this id.
    #[error("another version of cfimages noted {0}, and knows what is to be done about it")]
    NotedByOtherVersion(CloudflareId),
    /// The image got another id at Cloudflare when its privacy changed, and nobody knows which.
    #[error("the image {0} has another ID at Cloudflare since its privacy changed, and that ID was not found")]
    NewIdUnknown(CloudflareId),
    /// The image got another id at Cloudflare when its privacy changed, its record is gone, and it is not certain which it is.
    #[error("the image {id}, whose record is gone, may be {candidate} at Cloudflare now. Delete that there if it is.")]
    NewIdUncertain {
        /// The id that it had.
        id: CloudflareId,
        /// The id that it may have.
        candidate: CloudflareId,
    },
    /// Cloudflare does not know an image that is to be registered.
    #[error("Image {0} not found in Cloudflare")]
    UnknownToCloudflare(CloudflareId),
    /// An image that is to be registered has no picture yet.
    #[error("Image {0} is still a draft (upload not completed)")]
    NotUploaded(CloudflareId),
    /// An image that is to be registered was made by somebody else.
    #[error("Image {0} does not belong to the expected creator")]
    OtherCreator(CloudflareId),
    /// An image that is to be registered is somebody else's.
    #[error("Image {0} is already registered to another user")]
    OtherOwner(CloudflareId),
    /// The id is longer than the database keeps.
    #[error("cloudflare_id exceeds {} characters", CloudflareId::MAX_CHARS)]
    CloudflareIdTooLong,
    /// There is no such usage, or it is of somebody else's image.
    #[error("there is no such usage")]
    UsageNotFound,
    /// The image of a usage is somebody else's.
    #[error("The image belongs to another user.")]
    UsageOfOtherOwner,
    /// The usage follows a field of a Django model.
    #[error("The usage is kept by Django, which follows the field of the model. Use another field_name.")]
    AutomaticUsage,
    /// The URL of a private picture cannot be signed.
    #[error("The URL {0}.")]
    Unsignable(SignError),
    /// The account hash is needed, and not configured.
    #[error("The account hash is not known. Set CLOUDFLARE_IMAGES_ACCOUNT_HASH.")]
    NoAccountHash,
    /// A key to sign with is needed, is not configured, and Cloudflare did not tell one.
    #[error(
        "There is no key to sign the URL with. Set CLOUDFLARE_IMAGES_SIGNING_KEY. Asking Cloudflare for the account's keys failed: {0}"
    )]
    NoSigningKey(#[source] Arc<cloudflare::Error>),
    /// A call to Cloudflare failed.
    #[error("{operation}: {cause}")]
    Cloudflare {
        /// What was tried, in the toolkit's words: `Failed to check image status`.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: cloudflare::Error,
    },
    /// What an image is to be changed to by hand is not accepted.
    #[error(transparent)]
    Edit(#[from] EditProblem),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why a picture that was to be uploaded is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureProblem {
    /// There is nothing in the file.
    #[error("The submitted file is empty.")]
    Empty,
    /// It is larger than is allowed here.
    #[error("The file is too large. The most are {} MB.", max_bytes / 1_000_000)]
    TooLarge {
        /// The most bytes.
        max_bytes: u64,
    },
    /// It is larger than Cloudflare allows.
    #[error("The picture is larger than Cloudflare allows.")]
    TooLargeForCloudflare,
    /// It is no picture of a kind that is accepted.
    #[error("Upload a picture: a JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG file.")]
    WrongType,
    /// It looks like a picture, and Cloudflare cannot read it.
    #[error("Upload a valid image. The file is damaged, or of a kind that cannot be read.")]
    Unreadable,
    /// Cloudflare could not fetch it.
    #[error("Cloudflare could not fetch a picture from this URL.")]
    NotFetched,
    /// It did not come to its end.
    #[error("The upload was cut off. Send the file again.")]
    CutOff,
}

/// Why what an image is to be changed to by hand is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditProblem {
    /// The creator cannot be kept.
    #[error("The creator has at most {} characters, none of which is U+0000.", StaffEdit::MAX_CHARS)]
    Creator,
    /// The image has no picture, so that Cloudflare cannot be told.
    #[error("The creator can be changed when the picture is uploaded.")]
    CreatorWithoutPicture,
    /// The name of the file cannot be kept.
    #[error("The file name has at most {} characters, none of which is U+0000.", StaffEdit::MAX_CHARS)]
    FileName,
    /// The metadata are JSON, but no object.
    #[error("The metadata are to be an object: {{...}}.")]
    MetadataNoObject,
    /// Cloudflare does not keep as much.
    #[error("The metadata have {bytes} bytes. Cloudflare keeps at most {}.", StaffEdit::MAX_METADATA_BYTES)]
    MetadataTooLong {
        /// How many they are, without spaces.
        bytes: usize,
    },
    /// Somebody changed the image since it was looked at.
    #[error("The image was changed meanwhile.")]
    ChangedMeanwhile,
}

impl Error {
    /// Its kind in one word, for those who count and watch.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::CustomIdTaken => "custom_id_taken",
            Self::CustomIdRefused(_) => "custom_id_refused",
            Self::Picture(_) => "picture",
            Self::CustomIdCannotBePrivate | Self::CustomIdCannotBecomePrivate => "custom_id_private",
            Self::InUse => "in_use",
            Self::RequiredByHost { .. } => "required_by_host",
            Self::BeingCleared(_) => "being_cleared",
            Self::NotCertainYet { .. } => "not_certain_yet",
            Self::NotedByOtherVersion(_) => "noted_by_other_version",
            Self::NewIdUnknown(_) | Self::NewIdUncertain { .. } => "new_id_unknown",
            Self::UnknownToCloudflare(_) => "unknown_to_cloudflare",
            Self::NotUploaded(_) => "not_uploaded",
            Self::OtherCreator(_) | Self::OtherOwner(_) | Self::UsageOfOtherOwner => "other_owner",
            Self::CloudflareIdTooLong => "cloudflare_id_too_long",
            Self::UsageNotFound => "usage_not_found",
            Self::AutomaticUsage => "automatic_usage",
            Self::Unsignable(_) => "unsignable",
            Self::NoAccountHash => "no_account_hash",
            Self::NoSigningKey(_) => "no_signing_key",
            Self::Cloudflare { .. } => "cloudflare",
            Self::Edit(_) => "edit",
            Self::Store(error) => error.kind(),
        }
    }

    /// Whether the database says that the same may work a little later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }

    /// Whether another transaction got in the way, so that the same may work at once.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }

    /// Whether it will not be over by itself: whoever runs the server has to change something at Cloudflare, or the token.
    pub(crate) fn needs_somebody(&self) -> bool {
        matches!(self, Self::Cloudflare { cause, .. } if cause.needs_somebody())
    }

    /// Whether it says nothing of other images; see [`cloudflare::Error::concerns_one_image`].
    pub(crate) fn concerns_one_image(&self) -> bool {
        match self {
            Self::Cloudflare { cause, .. } => cause.concerns_one_image(),
            Self::Store(_) => false,
            _ => true,
        }
    }

    /// Says what was tried when Cloudflare failed.
    pub(super) fn cloudflare(operation: &'static str) -> impl FnOnce(cloudflare::Error) -> Self {
        move |cause| Self::Cloudflare { operation, cause }
    }
}
