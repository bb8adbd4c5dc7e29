//! A QR code (ISO/IEC 18004) as SVG.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

use crate::error::{Error, Result};

/// Free modules around it (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;

/// Draws `text` as a QR code of one module a pixel, black on white, with error correction M: a copy of a copy of a print
/// is still read.
///
/// # Errors
/// `Invalid` for a text that does not fit (over 2,331 bytes).
pub fn code(text: &str) -> Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|e| Error::invalid("text", format!("{e}; allowed: at most 2331 bytes")))?;
    let (width, mut path) = (code.width(), String::new());
    for (n, _) in code.to_colors().iter().enumerate().filter(|(_, c)| **c == Color::Dark) {
        // Writing to a String cannot fail.
        let _ = write!(path, "M{} {}h1v1h-1z", n % width + QUIET, n / width + QUIET);
    }
    let side = width + 2 * QUIET;
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{side}" height="{side}" shape-rendering="crispEdges"><rect width="{side}" height="{side}" fill="#ffffff"/><path d="{path}" fill="#000000"/></svg>"##
    ))
}

/// Draws `text` as a QR code of block characters for a terminal, light on dark as most are.
///
/// # Errors
/// `Invalid` for a text that does not fit.
pub fn code_in_blocks(text: &str) -> Result<String> {
    use qrcode::render::unicode::Dense1x2;
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|e| Error::invalid("text", format!("{e}; allowed: at most 2953 bytes")))?;
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Ok(code.render::<Dense1x2>().dark_color(dark).light_color(light).build())
}
