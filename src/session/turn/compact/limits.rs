//! From which size on a conversation is summarised, and how much of it stays as it is. Pure.

/// How much of the context is kept free at most where the settings do not say.
const MAX_RESERVED: u64 = 20_000;

/// From how many tokens on a conversation is summarised; `None` if the model's context is not known. `output` is the longest
/// answer.
pub fn threshold(context: u64, output: u64, reserved: Option<u64>) -> Option<u64> {
    let reserved = match reserved {
        Some(reserved) => reserved.min(context / 4 * 3),
        None => output.min(MAX_RESERVED).min(context / 4),
    };
    (context > 0).then(|| context - reserved)
}

/// How many tokens of recent turns a summary leaves as they are.
pub fn tail_tokens(threshold: Option<u64>) -> u64 {
    threshold.map_or(8_000, |threshold| (threshold / 4).clamp(2_000, 8_000).min(threshold / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_leaves_room_for_the_answer() {
        for (context, output, reserved, expected) in [
            (200_000, 32_000, None, Some(180_000)),
            (200_000, 8_000, None, Some(192_000)),
            (16_000, 16_000, None, Some(12_000)),
            (100_000, 4_000, Some(30_000), Some(70_000)),
            (100_000, 4_000, Some(0), Some(100_000)),
            (100_000, 4_000, Some(1_000_000), Some(25_000)),
            (0, 32_000, None, None),
            (0, 32_000, Some(10), None),
        ] {
            assert_eq!(threshold(context, output, reserved), expected, "{context} {output} {reserved:?}");
        }
        assert_eq!([None, Some(192_000), Some(16_000), Some(4_000), Some(3_000)].map(tail_tokens), [8_000, 8_000, 4_000, 2_000, 1_500]);
    }
}
