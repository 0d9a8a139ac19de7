//! A stream of pseudo-random numbers that is the same on every machine.
//! It knows nothing of what they decide.

/// `SplitMix64`: small, fast, and defined to the bit.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a seed and a number that names what it is for.
    pub(crate) fn new(seed: u64, purpose: u64) -> Random {
        let mut random = Random(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        random.next();
        random
    }

    /// Any 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of the product is below the bound; usize is at most 64 bits wide.
        let product = u128::from(self.next()) * bound.max(1) as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// A number below `bound` that is small far more often than large: the lowest of `draws` draws.
    pub(crate) fn low(&mut self, bound: usize, draws: usize) -> usize {
        (0..draws.max(1))
            .map(|_| self.below(bound))
            .min()
            .unwrap_or(0)
    }

    /// One of the words.
    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_defined_to_the_bit() {
        let mut random = Random(0);
        // The published first values of SplitMix64 for seed 0.
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_low_ones_are_low() {
        let mut random = Random::new(7, 1);
        let mut sum = (0, 0);
        for _ in 0..1000 {
            let (any, low) = (random.below(100), random.low(100, 3));
            assert!(any < 100 && low < 100);
            sum = (sum.0 + any, sum.1 + low);
        }
        assert!(sum.1 * 3 < sum.0 * 2, "{sum:?}");
    }
}
