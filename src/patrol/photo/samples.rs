//! Files for the tests, made in code: whole ones of each kind, and what cameras and attackers put behind them.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Left half red, right half blue.
pub fn picture(width: u32, height: u32) -> DynamicImage {
    let colour = |x| if x < width / 2 { [200, 30, 30] } else { [30, 30, 200] };
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, _| Rgb(colour(x))))
}

pub fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

pub fn jpeg() -> Vec<u8> {
    encode(&picture(64, 32), ImageFormat::Jpeg)
}

pub fn png() -> Vec<u8> {
    encode(&picture(64, 32), ImageFormat::Png)
}

pub fn webp() -> Vec<u8> {
    encode(&picture(64, 32), ImageFormat::WebP)
}

/// One file of every kind that is taken, with its media type and size.
pub fn good() -> Vec<(&'static str, (u32, u32), Vec<u8>)> {
    vec![
        ("image/jpeg", (64, 32), jpeg()),
        ("image/jpeg", (64, 32), jpeg_with_exif(&jpeg(), 6)),
        ("image/jpeg", (24, 16), include_bytes!("../../../tests/fixtures/photo/progressive.jpg").to_vec()),
        ("image/jpeg", (24, 16), include_bytes!("../../../tests/fixtures/photo/cmyk.jpg").to_vec()),
        ("image/png", (64, 32), png()),
        ("image/png", (64, 32), encode(&picture(64, 32).into_rgba16().into(), ImageFormat::Png)),
        ("image/webp", (64, 32), webp()),
        ("image/webp", (24, 16), include_bytes!("../../../tests/fixtures/photo/lossy.webp").to_vec()),
        ("image/webp", (24, 16), include_bytes!("../../../tests/fixtures/photo/alpha.webp").to_vec()),
        ("image/heic", (64, 64), include_bytes!("../../../tests/fixtures/photo/tiny.heic").to_vec()),
        ("image/heic", (4032, 3024), heic(&[(512, 512), (4032, 3024), (240, 180)])),
    ]
}

/// Marker segment of a JPEG.
pub fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap();
    [&[0xff, marker][..], &length.to_be_bytes(), body].concat()
}

/// The JPEG with a segment right after its start marker.
pub fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    [&jpeg[..2], &segment(marker, body), &jpeg[2..]].concat()
}

/// What GPS coordinates look like in the bytes: 29/1, 24/1 as little-endian rationals.
pub const GPS: &[u8] = b"\x1d\0\0\0\x01\0\0\0\x18\0\0\0\x01\0\0\0";

/// EXIF with an orientation and a latitude (TIFF 6.0 and Exif 2.32, 4.6.6).
pub fn jpeg_with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0".to_vec();
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    exif.extend([0x25, 0x88, 4, 0, 1, 0, 0, 0, 38, 0, 0, 0]);
    exif.extend([0, 0, 0, 0]);
    exif.extend([2, 0]);
    exif.extend([1, 0, 2, 0, 2, 0, 0, 0, b'N', 0, 0, 0]);
    exif.extend([2, 0, 5, 0, 3, 0, 0, 0, 68, 0, 0, 0]);
    exif.extend([0, 0, 0, 0]);
    exif.extend(GPS);
    exif.extend([36, 0, 0, 0, 1, 0, 0, 0]);
    with_segment(jpeg, 0xe1, &exif)
}

/// Box of an ISO base media file.
pub fn iso_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], kind, body].concat()
}

/// A HEIC as its boxes are: brands, a picture's meta with one `ispe` per size, data.
pub fn heic(sizes: &[(u32, u32)]) -> Vec<u8> {
    let extent =
        |&(w, h): &(u32, u32)| iso_box(b"ispe", &[&[0; 4][..], &w.to_be_bytes(), &h.to_be_bytes()].concat());
    let extents: Vec<u8> = sizes.iter().flat_map(extent).collect();
    let handler = iso_box(b"hdlr", b"\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let properties = iso_box(b"iprp", &iso_box(b"ipco", &extents));
    [
        iso_box(b"ftyp", b"heic\0\0\0\0mif1heic"),
        iso_box(b"meta", &[&[0; 4][..], &handler, &properties].concat()),
        iso_box(b"mdat", &[7; 99]),
    ]
    .concat()
}

/// A video as motion photos carry it.
pub fn movie() -> Vec<u8> {
    [iso_box(b"ftyp", b"mp42\0\0\0\0isommp42"), iso_box(b"mdat", &[0; 300]), iso_box(b"moov", &[1; 40])]
        .concat()
}

/// A Samsung trailer with one block.
pub fn samsung_trailer(data: &[u8]) -> Vec<u8> {
    let block = [&[0, 0, 0x30, 0x0a, 16, 0, 0, 0][..], b"MotionPhoto_Data", data].concat();
    let length = u32::try_from(block.len()).unwrap().to_le_bytes();
    let directory =
        [&b"SEFH"[..], &101_u32.to_le_bytes(), &1_u32.to_le_bytes(), &[0, 0, 0x30, 0x0a], &length, &length]
            .concat();
    let directory_length = u32::try_from(directory.len()).unwrap().to_le_bytes();
    [&block, &directory, &directory_length[..], b"SEFT"].concat()
}

/// A OnePlus or OPPO trailer with one block.
pub fn oneplus_trailer() -> Vec<u8> {
    let json = br#"[{"name":"depth","offset":20,"length":20,"version":1}]"#;
    let length = u32::try_from(json.len() + 9).unwrap().to_le_bytes();
    [&[9; 20][..], json, b"\0", b"jxrs", &length].concat()
}

/// A ZIP of one stored, empty file `a`.
pub fn zip() -> Vec<u8> {
    let local = [b"PK\x03\x04\x14\0", &[0; 20][..], &[1, 0, 0, 0], b"a"].concat();
    let directory = [b"PK\x01\x02\x14\0\x14\0", &[0; 20][..], &[1, 0], &[0; 16], b"a"].concat();
    let (size, at) = (u32::try_from(directory.len()).unwrap(), u32::try_from(local.len()).unwrap());
    let end =
        [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &size.to_le_bytes()[..], &at.to_le_bytes(), &[0, 0]].concat();
    [local, directory, end].concat()
}

/// Chunk of a PNG, with its checksum (W3C PNG, annex D).
pub fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let checksum = [&kind[..], body].concat().iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    });
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length, &kind[..], body, &(!checksum).to_be_bytes()].concat()
}

/// A PNG that states a size, with data that is far too little or too much for it.
pub fn png_stating(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let parts = [chunk(b"IHDR", &header), chunk(b"IDAT", data), chunk(b"IEND", b"")].concat();
    [&png()[..8], &parts].concat()
}
