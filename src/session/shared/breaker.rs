//! When a session is not summarised any more because it did not help. Pure.

/// So many rounds without success within [`WINDOW`] are the last.
const MAX_ROUNDS: usize = 3;
/// In milliseconds.
const WINDOW: i64 = 30 * 60 * 1000;

/// Counts the summaries of a session that did not help, and ends them.
#[derive(Debug, Default)]
pub struct Breaker {
    /// When they began, in milliseconds, since usage was last seen under the threshold.
    rounds: Vec<i64>,
}

impl Breaker {
    /// Another summary begins.
    pub fn begin(&mut self, now: i64) {
        self.rounds.retain(|begun| now - begun < WINDOW);
        self.rounds.push(now);
    }

    /// A model call was measured, or not refused: usage is under the threshold.
    pub fn succeed(&mut self) {
        self.rounds.clear();
    }

    /// Whether there must be no further summary now.
    pub fn is_open(&self, now: i64) -> bool {
        self.rounds.iter().filter(|begun| now - **begun < WINDOW).count() >= MAX_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_rounds_in_half_an_hour_without_success_are_the_last() {
        let minute = 60_000;
        let mut breaker = Breaker::default();
        for now in [0, 10 * minute] {
            breaker.begin(now);
            assert!(!breaker.is_open(now));
        }
        breaker.begin(20 * minute);
        assert!(breaker.is_open(20 * minute) && breaker.is_open(30 * minute - 1));
        assert!(!breaker.is_open(30 * minute), "the first round is half an hour ago");
        breaker.begin(30 * minute);
        assert!(breaker.is_open(30 * minute));
        breaker.succeed();
        assert!(!breaker.is_open(30 * minute));
        // Success in between, as in a session that works for days.
        for round in 0..100 {
            breaker.begin(round * minute);
            assert!(!breaker.is_open(round * minute), "round {round}");
            breaker.succeed();
        }
        // One in a while is no repetition, even if it did not help.
        for round in 0..100 {
            breaker.begin(round * 16 * minute);
            assert!(!breaker.is_open(round * 16 * minute), "round {round}");
        }
    }
}
