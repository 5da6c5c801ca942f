//! Images and documents for models: what a wire protocol can carry, and what is said where it cannot. Pure.

use base64::Engine as _;
use polytree_protocol::provider::Model;
use serde_json::{Value, json};

use super::{
    definition::{Media, UserContent},
    remote_wire::Wire,
};

/// The longest text document that is put into a message, in bytes.
const LONGEST_TEXT: usize = 256 * 1024;

/// A piece of content as it goes onto the wire.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Text.
    Text(String),
    /// A block of the protocol.
    Block(Value),
}

/// The pieces of a user message. `model` tells whether it takes images and documents.
pub(super) fn user_pieces(content: &[UserContent], wire: Wire, model: &Model) -> Vec<Piece> {
    let piece = |content: &UserContent| match content {
        UserContent::Text(text) => Piece::Text(text.clone()),
        UserContent::Media(media) => media_piece(media, wire, model),
    };
    content.iter().map(piece).filter(|piece| !matches!(piece, Piece::Text(text) if text.trim().is_empty())).collect()
}

/// An image or document as a block, as text, or as a sentence saying that the model cannot have it.
pub(super) fn media_piece(media: &Media, wire: Wire, model: &Model) -> Piece {
    let name = media.filename.as_deref().unwrap_or("without a name");
    // Parameters such as `; charset=utf-8` and upper case are no part of the type.
    let mime = media.mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = mime.split_once('/').unwrap_or((mime.as_str(), ""));
    if kind == "text" || matches!(subtype, "json" | "xml" | "yaml" | "toml") {
        if let Some(text) = decoded_text(media) {
            return Piece::Text(format!("Content of the attached file {name}:\n{text}"));
        }
    } else if mime == "application/pdf" && !model.documents {
        return Piece::Text(format!("[An attachment ({name}, {mime}) was left out: this model cannot read documents.]"));
    } else if mime != "application/pdf" && !model.attachment {
        return Piece::Text(format!("[An attachment ({name}, {mime}) was left out: this model cannot see images.]"));
    } else if let Some(block) = block(media, wire, &mime) {
        return Piece::Block(block);
    }
    Piece::Text(format!("[An attachment ({name}, {mime}) was left out: this model service does not take files of that type.]"))
}

fn decoded_text(media: &Media) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(&media.base64).ok()?;
    String::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST_TEXT)
}

fn block(media: &Media, wire: Wire, mime: &str) -> Option<Value> {
    let data = &media.base64;
    match (wire, mime) {
        (Wire::OpenAi, "application/pdf") => {
            let filename = media.filename.as_deref().unwrap_or("document.pdf");
            Some(json!({"type": "file", "file": {"filename": filename, "file_data": format!("data:{mime};base64,{data}")}}))
        }
        (Wire::OpenAi, "audio/wav" | "audio/x-wav") => Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})),
        (Wire::OpenAi, "audio/mpeg" | "audio/mp3") => Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}})),
        (Wire::OpenAi, _) if mime.starts_with("image/") => {
            Some(json!({"type": "image_url", "image_url": {"url": format!("data:{mime};base64,{data}")}}))
        }
        (Wire::OpenAiResponses, "application/pdf") => {
            let filename = media.filename.as_deref().unwrap_or("document.pdf");
            Some(json!({"type": "input_file", "filename": filename, "file_data": format!("data:{mime};base64,{data}")}))
        }
        (Wire::OpenAiResponses, "image/png" | "image/jpeg" | "image/gif" | "image/webp") => {
            Some(json!({"type": "input_image", "detail": "auto", "image_url": format!("data:{mime};base64,{data}")}))
        }
        (Wire::Gemini, "application/pdf" | "image/png" | "image/jpeg" | "image/webp" | "image/heic" | "image/heif") => {
            Some(inline(mime, data))
        }
        (Wire::Gemini, _) if mime.starts_with("audio/") || mime.starts_with("video/") => Some(inline(mime, data)),
        (Wire::Ollama, "image/png" | "image/jpeg" | "image/webp") => Some(json!(data)),
        (Wire::Anthropic, "image/png" | "image/jpeg" | "image/gif" | "image/webp") => {
            Some(json!({"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}))
        }
        (Wire::Anthropic, "application/pdf") => {
            let mut block = json!({"type": "document", "source": {"type": "base64", "media_type": mime, "data": data}});
            if let Some(name) = &media.filename {
                block["title"] = json!(name);
            }
            Some(block)
        }
        _ => None,
    }
}

fn inline(mime: &str, data: &str) -> Value {
    json!({"inlineData": {"mimeType": mime, "data": data}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::unknown_model;

    fn model(sees: bool) -> Model {
        Model { attachment: sees, documents: sees, ..unknown_model("m") }
    }

    fn media(mime: &str, base64: &str) -> Media {
        Media { mime: mime.to_owned(), filename: Some("a.bin".to_owned()), base64: base64.to_owned() }
    }

    fn text(piece: Piece) -> String {
        match piece {
            Piece::Text(text) => text,
            Piece::Block(block) => panic!("{block}"),
        }
    }

    #[test]
    fn images_become_blocks_of_the_protocol() {
        let image = media("image/PNG; x=1", "AAAA");
        let expected = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
        assert_eq!(media_piece(&image, Wire::OpenAi, &model(true)), Piece::Block(expected));
        let expected = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
        assert_eq!(media_piece(&image, Wire::Anthropic, &model(true)), Piece::Block(expected));
    }

    #[test]
    fn what_cannot_be_seen_is_said() {
        for wire in Wire::ALL {
            assert!(text(media_piece(&media("image/png", "AAAA"), wire, &model(false))).contains("this model cannot see"));
            assert!(text(media_piece(&media("application/pdf", "AAAA"), wire, &model(false))).contains("this model cannot read documents"));
            assert!(text(media_piece(&media("application/zip", "AAAA"), wire, &model(true))).contains("does not take files of that type"));
        }
        assert!(
            text(media_piece(&media("application/pdf", "AAAA"), Wire::Ollama, &model(true))).contains("does not take files of that type")
        );
        assert!(text(media_piece(&media("image/tiff", "AAAA"), Wire::Anthropic, &model(true))).contains("image/tiff"));
    }

    #[test]
    fn text_documents_are_text_for_every_model() {
        for sees in [true, false] {
            assert_eq!(
                text(media_piece(&media("text/plain", "aGVsbG8="), Wire::Anthropic, &model(sees))),
                "Content of the attached file a.bin:\nhello"
            );
        }
        assert!(text(media_piece(&media("text/plain", "/w=="), Wire::OpenAi, &model(true))).contains("left out"));
    }
}
