//! A part of the shop, chosen at random: fast, also where the whole takes hours. Ids begin with the time at which they were made,
//! so a random id leads to whoever came next after a random moment.

use super::{Report, Verifier, VerifyError, settle::Settling};
use indicatif::ProgressBar;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Keys looked at together.
const TOGETHER: usize = 50;

/// In a small shop a random moment often leads to the same ones: then fewer are enough.
const TRIES: u32 = 20;

impl Verifier {
    pub(super) async fn sampled(
        &self,
        many: u32,
        seed: u64,
        report: &mut Report,
        settling: &mut Settling,
        bar: &ProgressBar,
    ) -> Result<(), VerifyError> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut keys = self.choose("user", many, &mut rng).await?;
        keys.extend(self.choose("product", many, &mut rng).await?);
        bar.set_length(keys.len() as u64);
        for keys in keys.chunks(TOGETHER) {
            let mut heads = Vec::new();
            for key in keys {
                heads.extend(self.all_of(*key, None).await?);
            }
            let found = self.check(&heads, report, None).await?;
            settling.suspect(found);
            bar.inc(keys.len() as u64);
        }
        self.settle(settling, report).await
    }

    /// So many keys of one kind, or all of them if there are not many more.
    async fn choose(&self, kind: &str, many: u32, rng: &mut StdRng) -> Result<Vec<Uuid>, VerifyError> {
        let (first, last) = (self.log.key_from(kind, Uuid::nil()).await?, self.log.last_key(kind).await?);
        let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
        let (first, last) = (first.as_u128(), last.as_u128());
        // A little earlier, so that the first has a chance too.
        let earliest = first.saturating_sub((last - first) / 16);
        let mut chosen = BTreeSet::new();
        for _ in 0..many.saturating_mul(TRIES) {
            if chosen.len() >= many as usize {
                break;
            }
            let from = Uuid::from_u128(rng.random_range(earliest..=last));
            chosen.extend(self.log.key_from(kind, from).await?);
        }
        Ok(chosen.into_iter().collect())
    }
}
