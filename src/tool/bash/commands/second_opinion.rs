//! What tree-sitter's bash grammar makes of a script: a reader with other mistakes than ours.

use std::{cell::RefCell, collections::HashSet};

use tree_sitter::{Node, Parser};

use super::syntax::Parsed;

thread_local! {
    // Making one takes longer than reading a short script.
    static PARSER: RefCell<Option<Parser>> = RefCell::new(parser());
}

fn parser() -> Option<Parser> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok()?;
    Some(parser)
}

/// Bytes of here-documents times expansions in them: the grammar reads what follows again at each.
const READ_AGAIN: usize = 4_000_000;

/// Whether the grammar does not understand the script, or sees a command begin where our reader sees none.
pub(super) fn disagrees(source: &str, parsed: &Parsed) -> bool {
    let expansions: usize = parsed.bodies.iter().map(|body| body.pieces.len()).sum();
    if !parsed.bodies.is_empty() && expansions.saturating_mul(source.len()) > READ_AGAIN {
        return true;
    }
    let tree = PARSER.with_borrow_mut(|parser| parser.as_mut()?.parse(source, None));
    let Some(tree) = tree else { return true };
    tree.root_node().has_error() || has_unknown_command(tree.root_node(), &parsed.findings.starts.iter().copied().collect())
}

fn has_unknown_command(root: Node<'_>, starts: &HashSet<usize>) -> bool {
    let command_name = root.language().id_for_node_kind("command_name", true);
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if node.kind_id() == command_name && !starts.contains(&node.start_byte()) {
            return true;
        }
        if cursor.goto_first_child() || cursor.goto_next_sibling() {
            continue;
        }
        loop {
            if !cursor.goto_parent() {
                return false;
            }
            if cursor.goto_next_sibling() {
                break;
            }
        }
    }
}
