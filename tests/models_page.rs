//! The tables of `docs/models.md` are what the catalogue says.

use std::{fmt::Write as _, fs};

use expect_test::expect_file;
use polytree::provider::{Ability, ModelRow, ProviderRow, built_in};

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

fn row(provider: &ProviderRow, place: usize, model: &ModelRow, text: &mut String) {
    let shown = |prices: &[f64], place: usize| prices.get(place).filter(|price| **price > 0.0).map(ToString::to_string);
    let price = |place: usize| match (shown(&model.cost, place), shown(&model.cost_over_200k, place)) {
        (Some(price), Some(long)) => format!("{price} ({long} above 200k)"),
        (price, _) => price.unwrap_or_default(),
    };
    let words = [(Ability::Reasoning, "thinks"), (Ability::Images, "images"), (Ability::Documents, "documents")];
    let mut can: Vec<String> =
        words.iter().filter(|(ability, _)| model.can.contains(ability)).map(|(_, word)| (*word).to_owned()).collect();
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
        model.limit.0,
        model.limit.1,
        price(0),
        price(1),
        price(2),
        price(3),
        can.join(", "),
        model.released.as_deref().unwrap_or_default()
    )
    .unwrap();
}
