//! How much work one search for a place may take: whatever a model quotes in whatever file, it ends soon, and it ends
//! when the turn is aborted.

use tokio_util::sync::CancellationToken;

/// So often, in steps, it is looked whether the turn was aborted.
const LOOK: u64 = 1 << 20;

/// Steps that may still be taken, each about a byte that is looked at.
pub struct Budget<'a> {
    left: u64,
    until_look: u64,
    cancel: &'a CancellationToken,
}

/// Why a search has ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It takes too many steps.
    #[error("too much to compare")]
    Spent,
    /// The turn was aborted.
    #[error("aborted")]
    Aborted,
}

impl<'a> Budget<'a> {
    /// So many steps.
    pub fn new(steps: u64, cancel: &'a CancellationToken) -> Self {
        Self { left: steps, until_look: 0, cancel }
    }

    /// As many other steps, whatever is left of these.
    pub fn renewed(&self, steps: u64) -> Self {
        Self::new(steps, self.cancel)
    }

    /// Takes steps.
    pub fn spend(&mut self, steps: usize) -> Result<(), Stop> {
        let steps = steps as u64;
        if steps >= self.until_look {
            self.until_look = LOOK;
            if self.cancel.is_cancelled() {
                return Err(Stop::Aborted);
            }
        } else {
            self.until_look -= steps;
        }
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.map(drop).ok_or(Stop::Spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_and_an_abort_is_seen() {
        let cancel = CancellationToken::new();
        let mut budget = Budget::new(10, &cancel);
        assert_eq!([budget.spend(4), budget.spend(6), budget.spend(1), budget.spend(0)], [Ok(()), Ok(()), Err(Stop::Spent), Ok(())]);
        let mut budget = Budget::new(10 * LOOK, &cancel);
        assert_eq!(budget.spend(1), Ok(()));
        cancel.cancel();
        assert!((0..=LOOK).any(|_| budget.spend(1) == Err(Stop::Aborted)));
    }
}
