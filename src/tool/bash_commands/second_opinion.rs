//! What tree-sitter's bash grammar makes of a script: a reader with other mistakes than ours.

use std::collections::HashSet;

use tree_sitter::{Node, Parser};

/// Whether the grammar does not understand the script, or sees a command begin where none of `starts` is.
pub(super) fn disagrees(source: &str, starts: &[usize]) -> bool {
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_err() {
        return true;
    }
    let Some(tree) = parser.parse(source, None) else { return true };
    tree.root_node().has_error() || has_unknown_command(tree.root_node(), &starts.iter().copied().collect())
}

fn has_unknown_command(root: Node<'_>, starts: &HashSet<usize>) -> bool {
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if node.kind() == "command_name" && !starts.contains(&node.start_byte()) {
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
