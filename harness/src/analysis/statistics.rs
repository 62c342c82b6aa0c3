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

/// The least value that at least such a share of the values do not exceed (type 1 of Hyndman & Fan 1996). `None` for no
/// values.
#[must_use]
pub fn reached(values: &[f64], share: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// Arithmetic mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The middle value. `None` for no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// A robust standard deviation: the median distance from the median, 1.4826 times, and for few values more, so that of a
/// normal distribution it is σ on average (Croux & Rousseeuw, COMPSTAT 1992). Two values in five may be anything. `None`
/// below two values.
#[must_use]
pub fn robust_deviation(values: &[f64]) -> Option<f64> {
    let few = match values.len() {
        0 | 1 => return None,
        2 => 1.196,
        3 => 1.495,
        4 => 1.363,
        5 => 1.206,
        6 => 1.200,
        7 => 1.140,
        8 => 1.129,
        9 => 1.107,
        n => n as f64 / (n as f64 - 0.8),
    };
    let middle = median(values)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    Some(1.4826 * few * median(&distances)?)
}

/// Jain's fairness index, (Σx)² / (n·Σx²): 1 where all values are equal, 1/n where all but one are 0 (Jain, Chiu &
/// Hawe, DEC-TR-301, 1984). `None` for no values, or if all are 0.
#[must_use]
pub fn jain(values: &[f64]) -> Option<f64> {
    let squares = values.len() as f64 * values.iter().map(|value| value * value).sum::<f64>();
    (squares > 0.0).then(|| values.iter().sum::<f64>().powi(2) / squares)
}

/// Standard deviation (n − 1) over mean. `None` below two values, or if the mean is not positive.
#[must_use]
pub fn variation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (values.len() > 1 && mean > 0.0).then(|| (squares / (n - 1.0)).sqrt() / mean)
}

/// Which values lie far from the others: the modified z-score 0.6745·(x − median)/MAD beyond ±3.5 (Iglewicz & Hoaglin,
/// *How to Detect and Handle Outliers*, 1993), if that is also more than [`OUTLIERS_BEYOND`] of the median. None below
/// [`OUTLIERS_FROM`] values, and none if half of them are equal.
#[must_use]
pub fn outliers(values: &[f64]) -> Vec<bool> {
    let Some(middle) = median(values).filter(|_| values.len() >= OUTLIERS_FROM) else {
        return vec![false; values.len()];
    };
    let deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let mad = median(&deviations).unwrap_or(0.0);
    let is_far = |deviation: &f64| mad > 0.0 && 0.6745 * deviation / mad > 3.5 && *deviation > OUTLIERS_BEYOND * middle;
    deviations.iter().map(is_far).collect()
}

/// Below so many values nothing can be told to be far from the others.
pub const OUTLIERS_FROM: usize = 5;

/// Share of the median within which no value is far: where a few times agree by chance to a thousandth, a hundredth is no
/// news.
pub const OUTLIERS_BEYOND: f64 = 0.02;

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
    fn what_a_share_reached_is_one_of_the_values() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(
            [0.0, 0.2, 0.21, 0.9, 1.0].map(|share| reached(&values, share)),
            [1.0, 1.0, 2.0, 5.0, 5.0].map(Some)
        );
        assert_eq!(reached(&[], 0.5), None);
    }

    #[test]
    fn fairness_is_one_for_equals_and_one_nth_for_one_giver() {
        assert_eq!(jain(&[2.0, 2.0, 2.0]), Some(1.0));
        assert_eq!(jain(&[0.0, 0.0, 0.0, 5.0]), Some(0.25));
        // k of n users who share equally while the others get nothing: k/n (Jain, Chiu & Hawe 1984).
        assert_eq!(jain(&[20.0, 20.0, 20.0, 20.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0]), Some(0.5));
        assert_eq!(jain(&[0.0]), None);
        assert_eq!(jain(&[]), None);
    }

    #[test]
    fn a_robust_deviation_does_not_hear_of_what_lies_far_off() {
        let values = [9.0, 10.0, 11.0, 12.0, 13.0];
        // The distances are 0, 1, 1, 2 and 2: their median is 1.
        assert_eq!(robust_deviation(&values), Some(1.4826 * 1.206));
        assert_eq!(robust_deviation(&[9.0, 10.0, 11.0, 12.0, 1300.0]), Some(1.4826 * 1.206));
        assert_eq!(robust_deviation(&[9.0]), None);
    }

    #[test]
    fn variation_agrees_with_numpy() {
        // numpy.std([9, 10, 11, 12], ddof=1) / numpy.mean(…)
        assert!((variation(&[9.0, 10.0, 11.0, 12.0]).unwrap() - 0.122_951_852).abs() < 1e-9);
        assert_eq!(variation(&[3.0]), None);
        assert_eq!(variation(&[-1.0, 1.0]), None);
    }

    #[test]
    fn an_outlier_is_far_from_the_others_and_few_values_have_none() {
        // By hand: median 2.45, MAD 0.2, so that 8.2 has a score of 19.4 and 2.1 one of −1.2.
        let values = [2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3];
        let found: Vec<f64> = values.iter().zip(outliers(&values)).filter(|(_, is)| *is).map(|(v, _)| *v).collect();
        assert_eq!(found, [8.2, 8.3]);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 9.0]), [false; 4]);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 1.0, 9.0]), [false; 5]);
        // Far from what agrees to a ten-thousandth, and yet nothing to look into.
        assert_eq!(outliers(&[1.0, 1.0001, 0.9999, 1.0002, 1.019]), [false; 5]);
        assert_eq!(outliers(&[1.0, 1.0001, 0.9999, 1.0002, 1.021]), [false, false, false, false, true]);
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
