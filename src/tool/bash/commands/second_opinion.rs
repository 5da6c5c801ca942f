//! What tree-sitter's bash grammar makes of a script: a reader with other mistakes than ours.

use std::{cell::RefCell, collections::HashSet, ops::ControlFlow};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

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

/// How far the grammar may go, in units of a hundred operations: so far, and further by one for so many bytes. A script of
/// words and operators needs half of that at most; one with errors in it is read in many ways at once.
const MIN_STEPS: usize = 4;
const BYTES_PER_STEP: usize = 10;

/// Reads a script; `None` where it has an error, as far as that is known early, or takes too long.
fn parse(parser: &mut Parser, source: &str) -> Option<Tree> {
    let mut left = MIN_STEPS + source.len() / BYTES_PER_STEP;
    let mut progress = |state: &ParseState| {
        left = left.saturating_sub(1);
        if state.has_error() || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let tree = parser.parse_with_options(&mut |at, _| source.as_bytes().get(at..).unwrap_or_default(), None, Some(options));
    if tree.is_none() {
        // It would go on with this script.
        parser.reset();
    }
    tree
}

/// Whether the grammar does not understand the script, or sees a command begin where our reader sees none.
pub(super) fn disagrees(source: &str, parsed: &Parsed) -> bool {
    let expansions: usize = parsed.bodies.iter().map(|body| body.pieces.len()).sum();
    if !parsed.bodies.is_empty() && expansions.saturating_mul(source.len()) > READ_AGAIN {
        return true;
    }
    let tree = PARSER.with_borrow_mut(|parser| parse(parser.as_mut()?, source));
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
