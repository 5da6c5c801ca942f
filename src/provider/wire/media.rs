//! Images and documents for models: blocks of a wire protocol, or a sentence in their place if the model cannot have
//! them. Pure.

use base64::Engine as _;
use polytree_protocol::provider::Model;
use serde_json::Value;

use crate::provider::definition::{Media, UserContent};

/// The size limit of a text document in a message, in bytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// A piece of content in its wire form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    /// A block of the protocol.
    Block(Value),
}

/// Converts an image or document to a block of the protocol; `None` if the protocol does not support its media type.
pub(crate) type Block = fn(&Media, &str) -> Option<Value>;

/// The pieces of a user message.
pub(crate) fn user_pieces(content: &[UserContent], block: Block, model: &Model) -> Vec<Piece> {
    let piece = |content: &UserContent| match content {
        UserContent::Text(text) => Piece::Text(text.clone()),
        UserContent::Media(media) => media_piece(media, block, model),
    };
    content.iter().map(piece).filter(|piece| !matches!(piece, Piece::Text(text) if text.trim().is_empty())).collect()
}

/// Converts an image or document to a block, to text, or to a sentence saying that the model cannot have it.
pub(crate) fn media_piece(media: &Media, block: Block, model: &Model) -> Piece {
    let name = media.filename.as_deref().unwrap_or("without a name");
    // Removes parameters such as `; charset=utf-8`, and upper case.
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
    } else if let Some(block) = block(media, &mime) {
        return Piece::Block(block);
    }
    Piece::Text(format!("[An attachment ({name}, {mime}) was left out: this model service does not take files of that type.]"))
}

fn decoded_text(media: &Media) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(&media.base64).ok()?;
    String::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_TEXT_BYTES)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::{
        definition::unknown_model,
        wire::{
            ALL,
            protocol::Wire,
            tests::{ANTHROPIC, OLLAMA, OPENAI},
        },
    };

    fn model(sees: bool) -> Model {
        Model { attachment: sees, documents: sees, ..unknown_model("m") }
    }

    fn media(mime: &str, base64: &str) -> Media {
        Media { mime: mime.to_owned(), filename: Some("a.bin".to_owned()), base64: base64.to_owned() }
    }

    fn piece(media: &Media, wire: &dyn Wire, model: &Model) -> Piece {
        media_piece(media, wire.column().media, model)
    }

    fn text(piece: Piece) -> String {
        match piece {
            Piece::Text(text) => text,
            Piece::Block(block) => panic!("{block}"),
        }
    }

    #[test]
    fn images_are_converted_to_blocks() {
        let image = media("image/PNG; x=1", "AAAA");
        let expected = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
        assert_eq!(piece(&image, OPENAI, &model(true)), Piece::Block(expected));
        let expected = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
        assert_eq!(piece(&image, ANTHROPIC, &model(true)), Piece::Block(expected));
    }

    #[test]
    fn unsupported_media_are_described() {
        for &wire in ALL {
            assert!(text(piece(&media("image/png", "AAAA"), wire, &model(false))).contains("this model cannot see"));
            assert!(text(piece(&media("application/pdf", "AAAA"), wire, &model(false))).contains("this model cannot read documents"));
            assert!(text(piece(&media("application/zip", "AAAA"), wire, &model(true))).contains("does not take files of that type"));
        }
        assert!(text(piece(&media("application/pdf", "AAAA"), OLLAMA, &model(true))).contains("does not take files of that type"));
        assert!(text(piece(&media("image/tiff", "AAAA"), ANTHROPIC, &model(true))).contains("image/tiff"));
    }

    #[test]
    fn text_documents_are_sent_as_text() {
        for sees in [true, false] {
            assert_eq!(
                text(piece(&media("text/plain", "aGVsbG8="), ANTHROPIC, &model(sees))),
                "Content of the attached file a.bin:\nhello"
            );
        }
        assert!(text(piece(&media("text/plain", "/w=="), OPENAI, &model(true))).contains("left out"));
    }
}
