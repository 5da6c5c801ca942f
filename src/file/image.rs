//! Checks that an image is accepted by every model service: a type that all support, within the limits that all have,
//! and not truncated. Services decode the image; only headers and outer structure are checked here. Pure.

use super::media_type;

/// The size limit of an image, in bytes: 5 MiB in base64.
pub const MAX_BYTES: usize = 3_932_160;
/// The limit of an image's width and height, in pixels.
pub const MAX_PIXELS: usize = 8_000;
/// How many trailing bytes are searched for the end marker of a JPEG image: cameras append data of their own.
const JPEG_TAIL_BYTES: usize = 64 * 1024;

/// Why an image is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It has too many bytes.
    #[error("it has {0} bytes, and an image may have at most {MAX_BYTES}; scale it down or compress it more")]
    TooLarge(u64),
    /// It has too many pixels.
    #[error("it is {0} pixels wide and {1} high, and an image may have at most {MAX_PIXELS} on each side; scale it down or cut out a part")]
    TooManyPixels(usize, usize),
    /// It cannot be decoded.
    #[error("it is damaged or incomplete and cannot be decoded")]
    Damaged,
    /// Its type is not supported.
    #[error("its content is neither PNG, JPEG, GIF nor WebP; convert it to one of these")]
    Unknown,
}

/// The media type of an image that services accept.
pub fn check(bytes: &[u8]) -> Result<&'static str, ImageError> {
    let mime = media_type::of_head(bytes).filter(|mime| mime.starts_with("image/")).ok_or(ImageError::Unknown)?;
    let size = imagesize::blob_size(bytes).map_err(|_| ImageError::Damaged)?;
    if size.width == 0 || size.height == 0 || !is_whole(bytes, mime) {
        return Err(ImageError::Damaged);
    }
    if size.width.max(size.height) > MAX_PIXELS {
        return Err(ImageError::TooManyPixels(size.width, size.height));
    }
    if bytes.len() > MAX_BYTES {
        return Err(ImageError::TooLarge(bytes.len() as u64));
    }
    Ok(mime)
}

/// Whether the image is complete, as far as its outer structure shows.
fn is_whole(bytes: &[u8], mime: &str) -> bool {
    match mime {
        "image/png" => is_whole_png(bytes),
        "image/jpeg" => bytes[bytes.len().saturating_sub(JPEG_TAIL_BYTES)..].windows(2).any(|pair| pair == [0xFF, 0xD9]),
        "image/webp" => bytes.get(4..8).and_then(number_le).is_some_and(|length| length.saturating_add(8) <= bytes.len()),
        _ => true,
    }
}

/// Chunks from IHDR to IEND, with image data between them.
fn is_whole_png(bytes: &[u8]) -> bool {
    let (mut rest, mut has_data) = (bytes.get(8..).unwrap_or_default(), false);
    let mut is_first = true;
    while let Some((head, after)) = rest.split_at_checked(8) {
        let Some(length) = number_be(&head[..4]) else { return false };
        match &head[4..] {
            b"IHDR" if is_first => {}
            _ if is_first => return false,
            b"IDAT" => has_data |= length > 0,
            b"IEND" => return has_data,
            _ => {}
        }
        is_first = false;
        // A checksum follows the data.
        rest = after.get(length.saturating_add(4)..).unwrap_or_default();
    }
    false
}

fn number_be(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
}

fn number_le(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The structure of a PNG image, with this many bytes of image data.
    pub(crate) fn png(width: u32, height: u32, data: usize) -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
        header.extend([8, 2, 0, 0, 0]);
        for (name, content) in [(b"IHDR", header), (b"IDAT", vec![7; data]), (b"IEND", Vec::new())] {
            png.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            png.extend(name);
            png.extend(content);
            png.extend([0; 4]);
        }
        png
    }

    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
    /// The minimal headers of a JPEG image of 16 by 16 pixels, and its end marker.
    const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xFF\xC0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xFF\xDA\x00\x08\x01\x01\x00\x00?\x00\x12\xFF\xD9";
    const WEBP: &[u8] = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00/\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00";

    #[test]
    fn accepted_images() {
        for (bytes, mime) in [
            (png(20, 20, 100), "image/png"),
            (png(8000, 8000, 100), "image/png"),
            (GIF.to_vec(), "image/gif"),
            (JPEG.to_vec(), "image/jpeg"),
            ([JPEG, b"a note of the camera"].concat(), "image/jpeg"),
            (WEBP.to_vec(), "image/webp"),
        ] {
            assert_eq!(check(&bytes), Ok(mime));
        }
    }

    #[test]
    fn rejected_images() {
        let large = png(20, 20, MAX_BYTES);
        let no_data = png(20, 20, 0);
        let whole = png(20, 20, 100);
        for (bytes, unfit) in [
            (&large[..], ImageError::TooLarge(large.len() as u64)),
            (&png(9000, 2, 100), ImageError::TooManyPixels(9000, 2)),
            (&png(2, 8001, 100), ImageError::TooManyPixels(2, 8001)),
            (&png(0, 20, 100), ImageError::Damaged),
            (&no_data, ImageError::Damaged),
            (&whole[..whole.len() - 12], ImageError::Damaged),
            (&[b"\x89PNG\r\n\x1a\n".as_slice(), &b"junk".repeat(80)].concat(), ImageError::Damaged),
            (&JPEG[..JPEG.len() - 2], ImageError::Damaged),
            (&WEBP[..WEBP.len() - 3], ImageError::Damaged),
            (b"\xFF\xD8\xFF", ImageError::Damaged),
            (b"GIF89a", ImageError::Damaged),
            (b"%PDF-1.7", ImageError::Unknown),
            (b"<svg/>", ImageError::Unknown),
            (b"", ImageError::Unknown),
        ] {
            assert_eq!(check(bytes), Err(unfit), "{:?}", &bytes[..bytes.len().min(40)]);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(kind in 0..4usize, cut in 0..60usize, noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let image = [png(20, 20, 30), GIF.to_vec(), JPEG.to_vec(), WEBP.to_vec()][kind].clone();
            let bytes = [&image[..cut.min(image.len())], &noise].concat();
            let _ = check(&bytes);
        }
    }
}
