//! Everything that is written from the tables: the files in `schema/`, and the types of the editors' plugins.
//!
//! The texts depend on the tables and types only, so that two runs give the same bytes. Nothing is written
//! here: the program `generate` does that, and the tests compare.

mod json_schema;
mod layout;
mod long_text;
mod lua;
mod openrpc;
mod shape;
mod typescript;

use serde_json::Value;

/// A generated file.
pub struct Document {
    /// Where it belongs, relative to the root of the repository.
    pub path: &'static str,
    /// What it contains, with a newline at its end.
    pub text: String,
}

/// The OpenRPC document: what `rpc.discover` returns.
#[must_use]
pub fn openrpc() -> Value {
    openrpc::document()
}

/// All generated files.
#[must_use]
pub fn documents() -> Vec<Document> {
    let document = |path, value: &Value| Document { path, text: layout::text(value) };
    let openrpc = openrpc::document();
    vec![
        Document { path: "schema/polytree.d.ts", text: typescript::declarations(&openrpc) },
        Document { path: "editors/nvim/lua/polytree/protocol.lua", text: lua::annotations(&openrpc) },
        document("schema/openrpc.json", &openrpc),
        document("schema/schema.json", &json_schema::contract()),
        document("schema/config.json", &json_schema::settings()),
    ]
}
