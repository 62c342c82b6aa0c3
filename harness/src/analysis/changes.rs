//! When a series of nights changed its level: E-divisive (Matteson & James, *A nonparametric approach for multiple change
//! point analysis of multivariate data*, JASA 109, 2014), in one dimension and with α = 1.
//!
//! Let Z be the nights between two changes that are known. Of all τ < κ the pair is taken for which {Z₁ … Z_τ} and
//! {Z_τ₊₁ … Z_κ} differ most by the energy statistic; without κ two changes that undo one another would hide each other.
//! Of all stretches the one with the largest difference is split at its τ, if permutations of the nights within their
//! stretches rarely differ as much; then all is done again, until a split is not significant. Nothing is assumed of the
//! distribution. Both parts have at least [`LEAST`] nights, so that a single night is never a change.
//!
//! `harness/tests/e-divisive/` has thirty histories and what an independent implementation finds in them.

use peer_image::seeds;

/// Fewest nights on either side of a change.
pub const LEAST: usize = 2;
/// Nights that are looked at: the last ones. What is older says little of tonight.
pub const WINDOW: usize = 60;
/// Permutations that a split is held against.
const PERMUTATIONS: u32 = 499;
/// How often so large a difference may come about by chance.
const SIGNIFICANCE: f64 = 0.05;

/// Where a series is split, and how much its parts differ.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    /// Index of the first night after the change.
    at: usize,
    /// nm/(n+m) · (2·E|X−Y| − E|X−X'| − E|Y−Y'|).
    difference: f64,
}

/// The indices of the first night after each change, ascending, within the last [`WINDOW`] of the values. The same values
/// give the same changes: the permutations are drawn from a fixed seed.
#[must_use]
pub fn changes(values: &[f64]) -> Vec<usize> {
    let skipped = values.len().saturating_sub(WINDOW);
    let values = &values[skipped..];
    // Ends of the stretches between changes, the first of which begins at 0.
    let mut ends = vec![values.len()];
    while let Some(split) = best_of_all(values, &ends).filter(|split| split.difference > 0.0) {
        if !is_rare(values, &ends, split.difference) {
            break;
        }
        ends.push(split.at);
        ends.sort_unstable();
    }
    ends.pop();
    ends.into_iter().map(|end| skipped + end).collect()
}

/// Whether permutations of the values within their stretches rarely differ as much.
fn is_rare(values: &[f64], ends: &[usize], difference: f64) -> bool {
    // Of so many permutations that differ as much the share, this order among them, is still no larger.
    let most = (SIGNIFICANCE * f64::from(PERMUTATIONS + 1)).floor() - 1.0;
    let mut random = seeds::stream(0, &format!("changes/{}/{}", values.len(), ends.len()));
    let mut shuffled = values.to_vec();
    let mut as_large = 0.0;
    for _ in 0..PERMUTATIONS {
        let mut begin = 0;
        for end in ends {
            random.shuffle(&mut shuffled[begin..*end]);
            begin = *end;
        }
        if best_of_all(&shuffled, ends).is_some_and(|other| other.difference >= difference) {
            as_large += 1.0;
            // What is to come cannot change it.
            if as_large > most {
                return false;
            }
        }
    }
    true
}

/// The split of all stretches whose parts differ most; the first of several.
fn best_of_all(values: &[f64], ends: &[usize]) -> Option<Split> {
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let splits = begins.zip(ends).filter_map(|(begin, end)| {
        let split = best_split(&values[begin..*end])?;
        Some(Split { at: begin + split.at, ..split })
    });
    splits.reduce(|best, next| if next.difference > best.difference { next } else { best })
}

/// Where a stretch is split best, over all τ and κ.
fn best_split(values: &[f64]) -> Option<Split> {
    let n = values.len();
    if n < 2 * LEAST {
        return None;
    }
    // Σ|x − y| over all pairs of values of which the later one is before a place, by the place at which the pairs begin: each
    // sum within a part is then a look.
    let within = pairs(values);
    let mut best: Option<Split> = None;
    for tau in LEAST..=n - LEAST {
        let before = within[tau];
        for kappa in tau + LEAST..=n {
            let after = within[tau * (n + 1) + kappa];
            let across = within[kappa] - before - after;
            let (x, y) = (tau as f64, (kappa - tau) as f64);
            let energy = 2.0 * across / (x * y) - 2.0 * before / (x * (x - 1.0)) - 2.0 * after / (y * (y - 1.0));
            let difference = x * y / (x + y) * energy;
            if best.is_none_or(|best| difference > best.difference) {
                best = Some(Split { at: tau, difference });
            }
        }
    }
    best
}

/// For each begin b and end e (at b·(n + 1) + e) the sum of |x − y| over all pairs of values in b..e.
fn pairs(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut within = vec![0.0; (n + 1) * (n + 1)];
    for (end, value) in values.iter().enumerate() {
        // The new value's pairs, from the nearest one back.
        let mut own = 0.0;
        for begin in (0..end).rev() {
            own += (values[begin] - value).abs();
            within[begin * (n + 1) + end + 1] = within[begin * (n + 1) + end] + own;
        }
    }
    within
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values around a level, with a spread of about 1 %.
    fn nights(level: f64, count: usize, name: &str) -> Vec<f64> {
        let mut random = seeds::stream(7, name);
        (0..count).map(|_| level * (1.0 + 0.02 * (random.unit() - 0.5))).collect()
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let series = [nights(10.0, 12, "a"), nights(11.0, 6, "b")].concat();
        assert_eq!(changes(&series), [12]);
        let series = [nights(10.0, 12, "a"), nights(11.0, 8, "b"), nights(9.0, 9, "c")].concat();
        assert_eq!(changes(&series), [12, 20]);
    }

    #[test]
    fn a_single_night_is_no_change_and_two_are() {
        let mut series = nights(10.0, 14, "a");
        series.push(12.0);
        assert_eq!(changes(&series), [0; 0]);
        series.push(12.1);
        assert_eq!(changes(&series), [14]);
    }

    #[test]
    fn what_does_not_change_has_few_changes() {
        // At a significance of 5 % some of a hundred quiet series are called changed, and not many.
        let wrong = (0..100).filter(|i| !changes(&nights(10.0, 20, &format!("quiet/{i}"))).is_empty()).count();
        assert!(wrong <= 10, "{wrong}");
        assert_eq!(changes(&[3.0; 30]), [0; 0]);
        assert_eq!(changes(&[1.0, 2.0, 3.0]), [0; 0]);
    }

    #[test]
    fn the_energy_of_a_split_is_as_by_hand() {
        // Before {0, 1}, after {4, 6}: means 4.5, 1 and 2, so 4/4 · (9 − 1 − 2).
        assert_eq!(best_split(&[0.0, 1.0, 4.0, 6.0]), Some(Split { at: 2, difference: 6.0 }));
        // With {0, 0} after that, {4, 6} alone still differs most from what is before it.
        let split = best_split(&[0.0, 1.0, 4.0, 6.0, 0.0, 0.0]).unwrap();
        assert_eq!((split.at, split.difference), (2, 6.0));
    }

    #[test]
    fn a_step_and_its_return_are_both_found_and_stay_found() {
        let noisy = |level, count, name: &str| {
            let mut random = seeds::stream(11, name);
            (0..count).map(|_| level * (1.0 + 0.005 * (random.unit() - 0.5) * 3.46)).collect::<Vec<f64>>()
        };
        let mut series = [noisy(10.0, 10, "before"), noisy(12.0, 8, "slow"), noisy(10.0, 10, "after")].concat();
        // Others come about by chance, each as often as the significance says.
        let both = |found: &[usize]| found.contains(&10) && found.contains(&18);
        assert!(both(&changes(&series)), "{:?}", changes(&series));
        for night in noisy(10.0, 20, "later") {
            series.push(night);
            assert!(both(&changes(&series)), "after {} nights: {:?}", series.len(), changes(&series));
        }
    }

    #[test]
    fn thirty_histories_change_where_an_independent_implementation_says() {
        #[derive(serde::Deserialize)]
        struct History {
            name: String,
            values: Vec<f64>,
            first: (usize, f64),
            changes: Vec<usize>,
        }
        let text = include_str!("../../tests/e-divisive/histories.json");
        let histories: Vec<History> = serde_json::from_str(text).unwrap();
        assert_eq!(histories.len(), 30);
        for it in histories {
            let split = best_split(&it.values).unwrap();
            assert_eq!(split.at, it.first.0, "{}", it.name);
            assert!((split.difference / it.first.1 - 1.0).abs() < 1e-9, "{}: {split:?}", it.name);
            assert_eq!(changes(&it.values), it.changes, "{}", it.name);
        }
    }
}
