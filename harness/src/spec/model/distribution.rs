//! A time, or a rate, that is drawn: parameters as in the literature, each a quantity with its unit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal};

/// How something is spread, in base units: seconds for times, bit/s for rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Always the same.
    Fixed {
        /// The value.
        after: f64,
    },
    /// Uniform between two values.
    Uniform {
        /// Smallest.
        from: f64,
        /// Largest.
        to: f64,
    },
    /// Exponential: what has no memory.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// Weibull: with a shape below 1 many short ones and a long tail. Stutzbach and Rejaie (IMC 2006) found sessions of
    /// BitTorrent peers to follow it with shapes from 0.34 to 0.59.
    Weibull {
        /// k.
        shape: f64,
        /// λ: 63.2 % are shorter.
        scale: f64,
    },
    /// Log-normal: its logarithm is normal.
    Lognormal {
        /// e^μ: half are shorter.
        median: f64,
        /// σ of the natural logarithm.
        sigma: f64,
    },
    /// Pareto: a power law; without a mean for shapes up to 1.
    Pareto {
        /// α.
        shape: f64,
        /// x_m: none is shorter.
        minimum: f64,
    },
}

impl Distribution {
    /// The value at the upper quantile `q` in (0, 1): the share `q` of all are larger. Decreasing in `q`, except for
    /// [`Distribution::Uniform`], of which `q` are smaller.
    #[must_use]
    pub fn at(self, q: f64) -> f64 {
        match self {
            Self::Fixed { after } => after,
            Self::Uniform { from, to } => from + (to - from) * q,
            Self::Exponential { mean } => -mean * q.ln(),
            Self::Weibull { shape, scale } => scale * (-q.ln()).powf(1.0 / shape),
            Self::Lognormal { median, sigma } => {
                let normal = Normal::new(0.0, 1.0).expect("the standard normal distribution exists");
                median * (-sigma * normal.inverse_cdf(q)).exp()
            }
            Self::Pareto { shape, minimum } => minimum * q.powf(-1.0 / shape),
        }
    }

    /// Half are smaller.
    #[must_use]
    pub fn median(self) -> f64 {
        self.at(0.5)
    }
}

/// A distribution, or a number of seconds, which plans of version 1 have instead.
pub(super) fn or_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Distribution, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Seconds(f64),
        Spread(Distribution),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Seconds(after) => Distribution::Fixed { after },
        Either::Spread(spread) => spread,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mean(distribution: Distribution) -> f64 {
        let n = 200_000;
        (0..n).map(|i| distribution.at((f64::from(i) + 0.5) / f64::from(n))).sum::<f64>() / f64::from(n)
    }

    #[track_caller]
    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual / expected - 1.0).abs() < tolerance, "{actual} is not {expected}");
    }

    #[test]
    fn means_and_medians_are_those_of_the_textbooks() {
        close(mean(Distribution::Exponential { mean: 30.0 }), 30.0, 1e-3);
        close(mean(Distribution::Uniform { from: 10.0, to: 30.0 }), 20.0, 1e-9);
        // λΓ(1 + 1/k): Γ(3) = 2 for k = 1/2.
        close(mean(Distribution::Weibull { shape: 0.5, scale: 30.0 }), 60.0, 1e-2);
        // e^(μ + σ²/2).
        close(mean(Distribution::Lognormal { median: 30.0, sigma: 0.5 }), 30.0 * 0.125_f64.exp(), 1e-3);
        // α x_m / (α − 1).
        close(mean(Distribution::Pareto { shape: 3.0, minimum: 10.0 }), 15.0, 1e-2);
        close(Distribution::Lognormal { median: 30.0, sigma: 2.0 }.median(), 30.0, 1e-9);
        close(Distribution::Weibull { shape: 0.59, scale: 41.9 }.at((-1.0_f64).exp()), 41.9, 1e-12);
        close(Distribution::Exponential { mean: 1.0 }.median(), 2.0_f64.ln(), 1e-12);
    }

    proptest! {
        #[test]
        fn every_draw_is_a_positive_number(q in 1e-16_f64..1.0, shape in 0.01_f64..1000.0, scale in 1e-3_f64..1e6) {
            for distribution in [
                Distribution::Exponential { mean: scale },
                Distribution::Weibull { shape, scale },
                Distribution::Lognormal { median: scale, sigma: shape },
                Distribution::Pareto { shape, minimum: scale },
            ] {
                let drawn = distribution.at(q);
                prop_assert!(drawn >= 0.0 && !drawn.is_nan(), "{distribution:?} at {q}: {drawn}");
            }
        }
    }
}
