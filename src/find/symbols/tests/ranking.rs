//! Which symbols match, and their order.

use super::{super::SymbolKind, Place};

async fn order(text: &str, query: &str) -> Vec<String> {
    let place = Place::new(&[("a.ts", text)]);
    let hits = place.hits(place.request(query)).await;
    hits.into_iter().map(|hit| hit.container.map(|container| format!("{container}.")).unwrap_or_default() + &hit.name).collect()
}

#[tokio::test]
async fn exact_before_prefix_before_words_before_letters() {
    let text = "function xsxexsxsxixoxn() {} function newSession() {} function sessionOf() {} function Session() {} function session() {} function obsession() {}";
    assert_eq!(order(text, "session").await, ["session", "Session", "sessionOf", "newSession", "obsession", "xsxexsxsxixoxn"]);
}

#[tokio::test]
async fn initials_of_words_match() {
    let text = "function fabricate() {} function fileAppendBytes() {} function find_all_b() {} function FABRIC() {}";
    assert_eq!(order(text, "fab").await, ["FABRIC", "fabricate", "find_all_b", "fileAppendBytes"]);
    assert_eq!(order("function parseJSONFile() {} function projection() {}", "pjf").await, ["parseJSONFile"]);
}

#[tokio::test]
async fn a_capital_letter_makes_the_word_case_sensitive() {
    let text = "function Open() {} function open() {} function reOpen() {}";
    assert_eq!(order(text, "open").await, ["open", "Open", "reOpen"]);
    assert_eq!(order(text, "Open").await, ["Open", "reOpen"]);
    assert_eq!(order(text, "OPEN").await, Vec::<String>::new());
}

#[tokio::test]
async fn types_and_functions_come_before_fields_and_short_names_before_long_ones() {
    let text = "class A { store = 1; } interface storeLong {} class store {} function store() {} const storeX = 1; class storeY {}";
    assert_eq!(order(text, "store").await, ["store", "store", "A.store", "storeY", "storeLong", "storeX"]);
}

#[tokio::test]
async fn words_and_containers() {
    let text = "class Cart { addItem() {} remove() {} } class Card { addItem() {} } function addItem() {}";
    assert_eq!(order(text, "item add").await.len(), 3);
    assert_eq!(order(text, "Cart.add").await, ["Cart.addItem"]);
    assert_eq!(order(text, "cart::addItem()").await, ["Cart.addItem"]);
    assert_eq!(order(text, "app.Cart#").await, ["Cart.addItem", "Cart.remove"]);
    assert_eq!(order(text, "item zebra").await, Vec::<String>::new());
}

#[tokio::test]
async fn letters_beyond_ascii() {
    let text = "function größe() {} function grosse() {} function cafe() {} function caféX() {} function 名前() {}";
    assert_eq!(order(text, "größe").await, ["größe"]);
    assert_eq!(order(text, "cafe").await, ["cafe", "caféX"]);
    assert_eq!(order(text, "名").await, ["名前"]);
}

#[tokio::test]
async fn without_a_name_top_level_symbols_in_file_order() {
    let place = Place::new(&[("b.rs", "fn z() {}\nmod m { struct S { f: u8 } }\n"), ("a/c.rs", "fn y() { fn n() {} }\nfn x() {}\n")]);
    assert_eq!(place.find("").await, ["a/c.rs y", "a/c.rs x", "b.rs z", "b.rs m", "b.rs S"]);
    assert_eq!(place.find("  ").await.len(), 5);
    let mut request = place.request("");
    request.kinds = vec![SymbolKind::Field.number()];
    assert_eq!(place.listed(request).await, ["b.rs f"]);
}

#[tokio::test]
async fn the_best_results_do_not_depend_on_the_limit() {
    let text: String = (0..2000).map(|number| format!("function item{}() {{}}\nclass Item{number} {{}}\n", number * 7919 % 2000)).collect();
    let place = Place::new(&[("a.js", &text)]);
    for query in ["i", "item1", "tem", "m9"] {
        let mut request = place.request(query);
        request.limit = 1000;
        let all = place.listed(request.clone()).await;
        assert_eq!(all.len(), if query == "item1" { 1000 } else { all.len() });
        for limit in [1, 10, 100] {
            request.limit = limit;
            assert_eq!(place.listed(request.clone()).await, all[..limit.min(all.len())], "{query} {limit}");
        }
    }
}
