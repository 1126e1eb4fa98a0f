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
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
