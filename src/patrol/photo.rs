//! Photos. (Stub.)
use crate::error::{Error, Result};
/// Limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes.
    pub max_bytes: u64,
    /// Pixels.
    pub max_pixels: u64,
    /// Longest side.
    pub max_side: u32,
}
/// A photo.
#[derive(Clone, Debug)]
pub struct Photo {
    /// `image/jpeg`.
    pub media_type: &'static str,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Copy.
    pub preview: Option<Vec<u8>>,
}
/// Inspects.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Photo> {
    let _ = (bytes, limits);
    Err(Error::Internal("stub".into()))
}
