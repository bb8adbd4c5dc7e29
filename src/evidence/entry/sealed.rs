//! What lies as a file beside the log, sealed under the hash of its bytes.

use std::fmt;

/// A kind of sealed file. Its word is that of its entry, of its table, of the field in an error, and of an erasure that took
/// its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A photo (照片).
    Photo,
    /// A voice note (语音).
    Voice,
}

impl Sealed {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Photo, Self::Voice];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Voice => "voice",
        }
    }

    /// The folder of its files in the data directory and in a backup; their addresses begin so, too.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Photo => "photos",
            Self::Voice => "voices",
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
