//! The tables of `docs/models.md` match the catalogue.

use std::{fmt::Write as _, fs};

use expect_test::expect_file;
use polytree::provider::{ProviderRow, built_in};
use polytree_protocol::provider::{LongContextCost, Model, ModelCost};

const MARK: &str = "<!-- What follows is written by: UPDATE_EXPECT=1 cargo test --test models_page -->\n";

#[test]
fn the_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md");
    let page = fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let (written, _) = page.split_once(MARK).expect("the mark that divides the page");
    expect_file![path].assert_eq(&format!("{written}{MARK}{}", tables()));
}

fn tables() -> String {
    let file = built_in();
    let mut text = format!("\nAs of {}, in the order in which providers with a key are chosen:\n", file.as_of);
    for provider in &file.providers {
        section(provider, &mut text);
    }
    text
}

fn section(provider: &ProviderRow, text: &mut String) {
    let variables: Vec<String> = provider.env.iter().map(|name| format!("`{name}`")).collect();
    let wires: Vec<&str> = provider.wires.iter().map(|wire| wire.api.as_str()).collect();
    let (names, wires) = (variables.join(" or "), wires.join(", else "));
    writeln!(text, "\n### {} (`{}`)\n\nKey: {names}. Wire protocol: {wires}.\n", provider.name, provider.id).unwrap();
    text.push_str("| model | context | answer | in | out | cache read | cache write | can | out since |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (place, model) in provider.models.iter().enumerate() {
        row(provider, place, model, text);
    }
}

fn row(provider: &ProviderRow, place: usize, model: &Model, text: &mut String) {
    let ModelCost { input, output, cache_read, cache_write, context_over_200k } = model.cost;
    let long = context_over_200k.unwrap_or_default();
    let LongContextCost { input: long_input, output: long_output, cache_read: long_read, cache_write: long_write } = long;
    let shown = |price: f64| (price > 0.0).then(|| price.to_string());
    let price = |price: f64, long: f64| match (shown(price), shown(long)) {
        (Some(price), Some(long)) => format!("{price} ({long} above 200k)"),
        (price, _) => price.unwrap_or_default(),
    };
    let words = [(model.reasoning, "thinks"), (model.attachment, "images"), (model.documents, "documents")];
    let mut can: Vec<String> = words.iter().filter(|(can, _)| *can).map(|(_, word)| (*word).to_owned()).collect();
    can.extend(model.api.iter().map(|api| format!("only over {api}")));
    let mark = match (place, provider.small.as_ref() == Some(&model.id)) {
        (0, false) => " *first*",
        (0, true) => " *first, small*",
        (_, true) => " *small*",
        _ => "",
    };
    writeln!(
        text,
        "| `{}`{mark} | {} | {} | {} | {} | {} | {} | {} | {} |",
        model.id,
        model.limit.context,
        model.limit.output,
        price(input, long_input),
        price(output, long_output),
        price(cache_read, long_read),
        price(cache_write, long_write),
        can.join(", "),
        model.release_date.as_deref().unwrap_or_default()
    )
    .unwrap();
}
