//! Quantiles, and how sure a median is. Knows nothing of what the numbers are.

use statrs::distribution::{Binomial, DiscreteCDF};

/// The confidence that an interval of a median must reach.
pub const CONFIDENCE: f64 = 0.95;

/// The `share` quantile (0 to 1) by linear interpolation between order statistics (type 7 of Hyndman & Fan 1996,
/// the default of R and NumPy). `None` for no values. The values may be in any order.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let sorted = sorted(values);
    let last = sorted.len().checked_sub(1)?;
    let rank = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * rank.fract())
}

/// The middle value. `None` for no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The smallest value. `None` for no values.
#[must_use]
pub fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

/// The largest value. `None` for no values.
#[must_use]
pub fn most(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// An interval that holds the median of what was sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end, one of the values.
    pub low: f64,
    /// Its upper end, one of the values.
    pub high: f64,
    /// How often such an interval holds the median: at least [`CONFIDENCE`].
    pub confidence: f64,
}

/// The narrowest symmetric pair of order statistics that holds the median with at least [`CONFIDENCE`]: needs no
/// assumption on the distribution. `None` below 6 values, where not even the extremes reach it.
#[must_use]
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    let sorted = sorted(values);
    // A value falls below the median with probability 1/2, so the number that do is binomial.
    let below = Binomial::new(0.5, sorted.len() as u64).ok()?;
    let reached = |rank: usize| 1.0 - 2.0 * below.cdf(rank as u64);
    let rank = (0..sorted.len() / 2).take_while(|rank| reached(*rank) >= CONFIDENCE).last()?;
    Some(Interval { low: sorted[rank], high: sorted[sorted.len() - 1 - rank], confidence: reached(rank) })
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_numpy() {
        assert_eq!(median(&[3.0, 1.0, 2.0, 4.0]), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.9), Some(4.6));
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_interval_of_a_median_agrees_with_published_ranks() {
        // Conover, Practical Nonparametric Statistics: ranks for 95 % and the exact coverage.
        let ranks = [(6, 1, 6, 0.96875), (9, 2, 8, 0.9609), (10, 2, 9, 0.9785), (20, 6, 15, 0.9586)];
        for (n, low, high, confidence) in ranks {
            let values: Vec<f64> = (1..=n).map(f64::from).collect();
            let interval = median_interval(&values).unwrap();
            assert_eq!((interval.low, interval.high), (f64::from(low), f64::from(high)));
            assert!((interval.confidence - confidence).abs() < 0.0001, "{n}: {}", interval.confidence);
        }
    }

    #[test]
    fn five_values_have_no_interval() {
        assert_eq!(median_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]), None);
        assert_eq!(median_interval(&[]), None);
    }
}
