//! Everything that is written from the tables: the texts of the files in `schema/`.
//!
//! The texts depend on the tables and types only, so that two runs give the same bytes. Nothing is written
//! here: the program `generate` does that, and the tests compare.

mod json_schema;
mod layout;
mod long_text;
mod openrpc;

use serde_json::Value;

/// A generated file.
pub struct Document {
    /// Where it belongs, relative to the root of the repository.
    pub path: &'static str,
    /// What it contains, with a newline at its end.
    pub text: String,
}

/// All generated files.
#[must_use]
pub fn documents() -> Vec<Document> {
    let document = |path, value: &Value| Document { path, text: layout::text(value) };
    vec![
        document("schema/openrpc.json", &openrpc::document()),
        document("schema/schema.json", &json_schema::contract()),
        document("schema/config.json", &json_schema::settings()),
    ]
}
