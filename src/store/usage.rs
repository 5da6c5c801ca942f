//! The cost of model requests. Sums are exact: amounts are counted in units of 10⁻¹² dollars, and only the result is a
//! floating-point number. Pure.

mod totals;

use polytree_protocol::{
    message::Tokens,
    provider::{LongContextCost, ModelCost},
};

/// Units per dollar: prices are dollars per million tokens, with at most six decimals.
const UNITS_PER_DOLLAR: f64 = 1e12;
/// Above this many tokens the prices of [`ModelCost::context_over_200k`] apply.
const LONG_CONTEXT_TOKENS: u64 = 200_000;

/// The cost of a request, in US dollars.
pub(crate) fn cost(tokens: &Tokens, price: &ModelCost) -> f64 {
    let read = tokens.input.saturating_add(tokens.cache.read).saturating_add(tokens.cache.write);
    let ModelCost { input, output, cache_read, cache_write, context_over_200k } = *price;
    let price =
        context_over_200k.filter(|_| read > LONG_CONTEXT_TOKENS).unwrap_or(LongContextCost { input, output, cache_read, cache_write });
    // An unknown cache price is taken to be the input price: cached tokens are seldom free, and never more expensive.
    let or_input = |cached: f64| if cached > 0.0 { cached } else { price.input };
    let units = [
        (tokens.input, price.input),
        (tokens.output, price.output),
        (tokens.reasoning, price.output),
        (tokens.cache.read, or_input(price.cache_read)),
        (tokens.cache.write, or_input(price.cache_write)),
    ]
    .into_iter()
    .map(|(count, price)| u128::from(count).saturating_mul(units(price / 1e6)))
    .fold(0, u128::saturating_add);
    dollars(units)
}

/// The sum of two amounts in US dollars.
pub(crate) fn sum(one: f64, other: f64) -> f64 {
    dollars(units(one).saturating_add(units(other)))
}

/// Values that are not an amount of money, such as a negative price in the settings, count as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite and not negative; `as` saturates")]
fn units(dollars: f64) -> u128 {
    if dollars.is_finite() && dollars > 0.0 { (dollars * UNITS_PER_DOLLAR).round() as u128 } else { 0 }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest number, which is the exact one in its usual digits up to 4,000 dollars")]
fn dollars(units: u128) -> f64 {
    units as f64 / UNITS_PER_DOLLAR
}

/// Adds the tokens of a request to a total.
pub(crate) fn add(total: &mut Tokens, tokens: &Tokens) {
    let add = |total: &mut u64, count: u64| *total = total.saturating_add(count);
    add(&mut total.input, tokens.input);
    add(&mut total.output, tokens.output);
    add(&mut total.reasoning, tokens.reasoning);
    add(&mut total.cache.read, tokens.cache.read);
    add(&mut total.cache.write, tokens.cache.write);
}

/// What was added to an amount in US dollars.
pub(crate) fn difference(now: f64, before: f64) -> f64 {
    dollars(units(now).saturating_sub(units(before)))
}

/// What was added to a total.
pub(crate) fn since(now: &Tokens, before: &Tokens) -> Tokens {
    let mut tokens = *now;
    let subtract = |total: &mut u64, count: u64| *total = total.saturating_sub(count);
    subtract(&mut tokens.input, before.input);
    subtract(&mut tokens.output, before.output);
    subtract(&mut tokens.reasoning, before.reasoning);
    subtract(&mut tokens.cache.read, before.cache.read);
    subtract(&mut tokens.cache.write, before.cache.write);
    tokens
}

#[cfg(test)]
mod tests {
    use polytree_protocol::message::CacheTokens;
    use proptest::prelude::*;

    use super::*;

    fn tokens(input: u64, output: u64, reasoning: u64, read: u64, write: u64) -> Tokens {
        Tokens { input, output, reasoning, cache: CacheTokens { read, write } }
    }

    #[test]
    fn each_kind_has_its_price() {
        let price = ModelCost { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 3.75, context_over_200k: None };
        for (used, expected) in [
            (tokens(0, 0, 0, 0, 0), 0.0),
            (tokens(1_000_000, 0, 0, 0, 0), 3.0),
            (tokens(0, 1000, 500, 0, 0), 0.0225),
            (tokens(10, 20, 0, 100_000, 4_000), 0.04533),
            (tokens(1, 0, 0, 0, 0), 0.000_003),
        ] {
            assert!((cost(&used, &price) - expected).abs() == 0.0, "{used:?}: {}", cost(&used, &price));
        }
        assert_eq!(cost(&tokens(5, 5, 5, 5, 5), &ModelCost::default()).to_string(), "0");
    }

    #[test]
    fn a_long_context_has_its_own_prices() {
        let long = LongContextCost { input: 6.0, output: 22.5, cache_read: 0.6, cache_write: 7.5 };
        let price = ModelCost { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 3.75, context_over_200k: Some(long) };
        assert_eq!(cost(&tokens(100_000, 0, 0, 100_000, 0), &price).to_string(), "0.33");
        assert_eq!(cost(&tokens(100_000, 0, 0, 100_001, 0), &price).to_string(), "0.6600006");
        assert_eq!(cost(&tokens(200_001, 0, 0, 0, 0), &ModelCost { context_over_200k: None, ..price }).to_string(), "0.600003");
    }

    #[test]
    fn cached_tokens_without_a_price_cost_what_input_costs() {
        let price = ModelCost { input: 3.0, output: 15.0, ..ModelCost::default() };
        assert_eq!(cost(&tokens(20_000, 0, 0, 100_000, 0), &price).to_string(), "0.36");
        assert_eq!(cost(&tokens(0, 0, 0, 0, 100_000), &price).to_string(), "0.3");
        let long = LongContextCost { input: 6.0, output: 22.5, ..LongContextCost::default() };
        let price = ModelCost { cache_read: 0.3, context_over_200k: Some(long), ..price };
        assert_eq!(cost(&tokens(0, 0, 0, 300_000, 0), &price).to_string(), "1.8");
        assert_eq!(cost(&tokens(0, 0, 0, 100_000, 0), &price).to_string(), "0.03");
    }

    #[test]
    fn invalid_prices_cost_nothing() {
        for price in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(cost(&tokens(1, 1, 1, 1, 1), &ModelCost { input: price, output: price, ..ModelCost::default() }).to_string(), "0");
        }
        let max = tokens(u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        assert!(cost(&max, &ModelCost { input: 1e300, output: 1.0, ..ModelCost::default() }).is_finite());
        let mut total = max;
        add(&mut total, &max);
        assert_eq!(total, max);
        let (before, more) = (tokens(1, 2, 3, 4, 5), tokens(10, 20, 30, 40, 50));
        let mut total = before;
        add(&mut total, &more);
        assert_eq!((since(&total, &before), since(&before, &total)), (more, Tokens::default()));
        assert_eq!((difference(0.3, 0.1).to_string(), difference(0.1, 0.3).to_string()), ("0.2".to_owned(), "0".to_owned()));
    }

    proptest! {
        #[test]
        fn sums_do_not_drift(
            calls in proptest::collection::vec((0_u64..300_000, 0_u64..50_000, 0_u64..50_000, 0_u64..1_000_000, 0_u64..100_000), 0..300),
            price in (0_u64..100_000_000, 0_u64..100_000_000, 0_u64..10_000_000, 0_u64..100_000_000),
        ) {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let per_million = |millionths: u64| millionths as f64 / 1e6;
            let model = ModelCost {
                input: per_million(price.0), output: per_million(price.1), cache_read: per_million(price.2), cache_write: per_million(price.3),
                context_over_200k: None,
            };
            let (mut total, mut exact) = (0.0, 0_u128);
            for (input, output, reasoning, read, write) in calls {
                total = sum(total, cost(&tokens(input, output, reasoning, read, write), &model));
                // As it is stored between two requests.
                total = serde_json::from_str(&serde_json::to_string(&total).unwrap()).unwrap();
                // Prices are whole millionths of a dollar per million tokens.
                let or_input = |cached: u64| if cached > 0 { cached } else { price.0 };
                exact += [(input, price.0), (output + reasoning, price.1), (read, or_input(price.2)), (write, or_input(price.3))]
                    .iter()
                    .map(|(count, price)| u128::from(*count) * u128::from(*price))
                    .sum::<u128>();
            }
            // The exact decimal result, rounded to a floating-point number.
            let digits = 12;
            let text = format!("{}.{:0digits$}", exact / 1_000_000_000_000, exact % 1_000_000_000_000);
            let nearest: f64 = text.parse().unwrap();
            // The last value read may be off by one bit, which the next sum corrects.
            let total = sum(total, 0.0);
            if exact < 4_000 * 1_000_000_000_000 {
                prop_assert_eq!(total.to_bits(), nearest.to_bits(), "{} is not {}", total, text);
            } else {
                prop_assert!((total - nearest).abs() <= nearest * 1e-13, "{} is not {}", total, text);
            }
        }
    }
}
