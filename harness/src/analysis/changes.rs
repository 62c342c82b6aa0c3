//! When a series of nights changed its level: E-divisive (Matteson & James, *A nonparametric approach for multiple change
//! point analysis of multivariate data*, JASA 109, 2014), in one dimension and with α = 1.
//!
//! Of all splits of a segment the one is taken whose parts differ most by the energy statistic; it is a change if a
//! permutation of the segment rarely differs as much. Then both parts are searched in the same way. Nothing is assumed of
//! the distribution. A change has at least [`LEAST`] nights on either side, so that a single night is never one.

use peer_image::seeds;

/// Fewest nights on either side of a change.
pub const LEAST: usize = 2;
/// Nights that are looked at: the last ones. What is older says little of tonight.
pub const WINDOW: usize = 60;
/// Permutations that a split is held against.
const PERMUTATIONS: u32 = 499;
/// How often so large a difference may come about by chance.
const SIGNIFICANCE: f64 = 0.05;

/// The indices of the first night after each change, ascending, within the last [`WINDOW`] of the values. The same values
/// give the same changes: the permutations are drawn from a fixed seed.
#[must_use]
pub fn changes(values: &[f64]) -> Vec<usize> {
    let skipped = values.len().saturating_sub(WINDOW);
    let mut found = Vec::new();
    search(&values[skipped..], skipped, &mut found);
    found.sort_unstable();
    found
}

fn search(values: &[f64], offset: usize, found: &mut Vec<usize>) {
    let Some((split, difference)) = best_split(values) else { return };
    if difference <= 0.0 {
        return;
    }
    let mut random = seeds::stream(0, &format!("changes/{offset}/{}", values.len()));
    let mut shuffled = values.to_vec();
    let as_large = (0..PERMUTATIONS).filter(|_| {
        random.shuffle(&mut shuffled);
        best_split(&shuffled).is_some_and(|(_, other)| other >= difference)
    });
    let chance = (as_large.count() as f64 + 1.0) / (f64::from(PERMUTATIONS) + 1.0);
    if chance > SIGNIFICANCE {
        return;
    }
    found.push(offset + split);
    search(&values[..split], offset, found);
    search(&values[split..], offset + split, found);
}

/// Where the two parts differ most, and by how much: nm/(n+m) · (2·E|X−Y| − E|X−X'| − E|Y−Y'|).
fn best_split(values: &[f64]) -> Option<(usize, f64)> {
    let splits = LEAST..=values.len().checked_sub(LEAST)?;
    let between = |a: &[f64], b: &[f64]| a.iter().flat_map(|x| b.iter().map(move |y| (x - y).abs())).sum::<f64>();
    let of = |split: usize| {
        let (before, after) = values.split_at(split);
        let (n, m) = (before.len() as f64, after.len() as f64);
        // Each pair is in `between` twice, and C(n, 2) counts it once.
        let within = |part: &[f64], n: f64| between(part, part) / (n * (n - 1.0));
        let energy = 2.0 * between(before, after) / (n * m) - within(before, n) - within(after, m);
        (split, n * m / (n + m) * energy)
    };
    splits.map(of).reduce(|best, next| if next.1 > best.1 { next } else { best })
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
        assert_eq!(best_split(&[0.0, 1.0, 4.0, 6.0]), Some((2, 6.0)));
    }
}
