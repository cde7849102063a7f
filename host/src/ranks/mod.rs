//! One process or many that share the work of a command. Each rank does its part of the rows, and all hold the results of all rows, in
//! their order: what a row gives does not depend on how many ranks there are, because what is computed together is never divided.
//!
//! All ranks take the same way through the program, and meet wherever they exchange something. One that fails says so at the next
//! meeting, and all end.

#[cfg(not(feature = "mpi"))]
mod alone;
mod error;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod neighbours;

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(not(feature = "mpi"))]
use alone as world;
pub use error::RanksError;
pub use launch::tasks;
#[cfg(feature = "mpi")]
use mpi as world;
pub use neighbours::Neighbours;

/// This process among those that share the work.
#[derive(Clone, Copy, Debug)]
pub struct Ranks {
    size: usize,
    rank: usize,
    leave: Leave,
}

/// Ends this process with an exit code: without a reason when another has failed, which says why.
pub type Leave = fn(u8, Option<RanksError>) -> !;

/// The ranks while they are connected.
#[derive(Debug)]
pub struct World {
    ranks: Ranks,
    session: Option<world::Session>,
}

/// The exit code of a bug.
const BUG: u8 = 70;

impl World {
    /// Connects the processes that a launcher such as mpirun or srun has started; else this one is alone.
    ///
    /// # Errors
    /// [`RanksError`] when there are several and they cannot be connected.
    pub fn open(leave: Leave) -> Result<Self, RanksError> {
        match tasks() {
            None | Some(1) => Ok(Self { ranks: Ranks::one(), session: None }),
            Some(tasks) => {
                let session = world::Session::start(tasks)?;
                let (size, rank) = (session.size(), session.rank());
                Ok(Self { ranks: Ranks { size, rank, leave }, session: Some(session) })
            }
        }
    }

    /// A process that is not one of several, however it was started.
    pub fn alone() -> Self {
        Self { ranks: Ranks::one(), session: None }
    }

    /// This process among them.
    pub fn ranks(&self) -> Ranks {
        self.ranks
    }

    /// Parts once every rank has come to its end. One that has `failed`, with an exit code, makes the others end with the same code.
    /// Whether this rank is the one to say why: the first that has failed.
    pub fn part(mut self, failed: Option<u8>) -> bool {
        let Some(session) = self.session.take() else { return true };
        let verdicts = world::headers(failed.map_or(0, failure));
        match verdicts.iter().position(|verdict| *verdict < 0) {
            None => session.end(),
            Some(first) if failed.is_some() => {
                session.forget();
                return first == self.ranks.rank;
            }
            Some(first) => (self.ranks.leave)(code(verdicts[first]), None),
        }
        true
    }
}

/// A panic cannot wait for the others: it ends them.
impl Drop for World {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.abort(BUG);
        }
    }
}

/// The header of a rank that has failed with an exit code.
fn failure(code: u8) -> i64 {
    -1 - i64::from(code)
}

fn code(header: i64) -> u8 {
    u8::try_from(-1 - header).unwrap_or(BUG)
}

impl Ranks {
    /// A process alone.
    pub fn one() -> Self {
        Self { size: 1, rank: 0, leave: |code, _| std::process::exit(code.into()) }
    }

    /// How many there are.
    pub fn size(self) -> usize {
        self.size
    }

    /// Which one this is, from 0.
    pub fn rank(self) -> usize {
        self.rank
    }

    /// Whether this is the one that writes and speaks.
    pub fn is_first(self) -> bool {
        self.rank == 0
    }

    /// This rank's part of some pieces of work with these weights: the parts follow one another, and weigh about the same.
    pub fn part(self, weights: &[usize]) -> Range<usize> {
        part(weights, self.size, self.rank)
    }

    /// Does this rank's part of some items, and returns the results of all. Parts consist of whole chunks, so that what `work` does
    /// with a chunk at a time is the same for any number of ranks.
    pub fn share<I, R: Serialize + DeserializeOwned>(
        self,
        items: &[I],
        chunk: usize,
        work: impl FnOnce(&[I]) -> Vec<R>,
    ) -> Vec<R> {
        self.gather(work(&items[self.rows(items.len(), chunk)]))
    }

    /// This rank's part of so many rows, in whole chunks.
    pub fn rows(self, rows: usize, chunk: usize) -> Range<usize> {
        let Range { start, end } = self.part(&vec![1; rows.div_ceil(chunk)]);
        (start * chunk).min(rows)..(end * chunk).min(rows)
    }

    /// What every rank has, in the order of the ranks.
    pub fn gather<T: Serialize + DeserializeOwned>(self, own: Vec<T>) -> Vec<T> {
        if self.size == 1 {
            return own;
        }
        self.exchange(&own).into_iter().flatten().collect()
    }

    /// Whether any rank says so.
    pub fn any(self, own: bool) -> bool {
        self.gather(vec![own]).contains(&true)
    }

    /// Does something on the first rank, and hands what came of it to all. Where it fails the first rank alone learns why, and the others
    /// end at their next meeting.
    ///
    /// # Errors
    /// That of `work`.
    pub fn by_first<T: Serialize + DeserializeOwned, E>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let own = if self.is_first() { Some(work()?) } else { None };
        Ok(self.of_first(own))
    }

    /// What the first rank has, which alone must have something.
    fn of_first<T: Serialize + DeserializeOwned>(self, own: Option<T>) -> T {
        let all = if self.size == 1 { vec![own] } else { self.exchange(&own) };
        match all.into_iter().flatten().next() {
            Some(value) => value,
            None => self.fail(RanksError::Missing { rank: self.rank }),
        }
    }

    /// Replaces values by those of the first rank.
    pub fn follow_first<T: Clone + Serialize + DeserializeOwned>(self, value: &mut T) {
        *value = self.of_first(self.is_first().then(|| value.clone()));
    }

    /// Replaces numbers by their sums over the ranks, each taken in the order of the ranks.
    pub fn sum(self, numbers: &mut [f32]) {
        if self.size > 1 {
            self.meet(0);
            world::sum(numbers);
        }
    }

    /// One value of every rank.
    fn exchange<T: Serialize + DeserializeOwned>(self, own: &T) -> Vec<T> {
        let unsendable = |reason| self.fail(RanksError::Unsendable { rank: self.rank, reason });
        let own = postcard::to_stdvec(own).unwrap_or_else(unsendable);
        let lengths = self.meet(own.len() as i64);
        // What this very program has written can be read; another one is refused in the beginning.
        let value = |(from, bytes): (usize, Vec<u8>)| {
            postcard::from_bytes(&bytes).unwrap_or_else(|reason| {
                self.fail(RanksError::Unreadable { rank: self.rank, from, bytes: bytes.len(), reason })
            })
        };
        world::all_gather(&own, &lengths).into_iter().enumerate().map(value).collect()
    }

    /// Ends this rank, and with it the others, because of a bug.
    fn fail(self, error: RanksError) -> ! {
        (self.leave)(BUG, Some(error))
    }

    /// Waits for all ranks and returns what each says; ends with the others if one has failed.
    fn meet(self, own: i64) -> Vec<i64> {
        let all = world::headers(own);
        match all.iter().find(|header| **header < 0) {
            Some(failed) => (self.leave)(code(*failed), None),
            None => all,
        }
    }
}

/// Rank `rank`'s part. A piece belongs to the rank in whose share of the total weight its middle lies.
fn part(weights: &[usize], size: usize, rank: usize) -> Range<usize> {
    let weight = |w: &usize| (*w).max(1) as u128;
    let total: u128 = weights.iter().map(weight).sum();
    let mut before = 0;
    let owners = weights.iter().map(|w| {
        let middle = 2 * before + weight(w);
        before += weight(w);
        (middle * size as u128 / (2 * total)) as usize
    });
    let (mut start, mut end) = (0, 0);
    for owner in owners {
        start += usize::from(owner < rank);
        end += usize::from(owner <= rank);
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_one_another_and_weigh_about_the_same() {
        for weights in [vec![1; 10], vec![5, 5, 4, 3, 1, 1, 1], vec![7], vec![], vec![0; 4], (1..200).collect()] {
            let total: usize = weights.iter().sum();
            let heaviest = weights.iter().copied().max().unwrap_or(0);
            for size in 1..8 {
                let parts: Vec<_> = (0..size).map(|rank| part(&weights, size, rank)).collect();
                assert_eq!((parts[0].start, parts[size - 1].end), (0, weights.len()));
                assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
                for own in parts {
                    let weight: usize = weights[own].iter().sum();
                    assert!(weight * size <= total + 2 * size * heaviest, "{weights:?} for {size}");
                }
            }
        }
    }

    #[test]
    fn whole_chunks_cover_all_rows() {
        let rows = |rank| Ranks { rank, size: 3, ..Ranks::one() }.rows(50, 16);
        assert_eq!([rows(0), rows(1), rows(2)], [0..16, 16..48, 48..50]);
        assert_eq!(Ranks::one().rows(50, 16), 0..50);
    }

    #[test]
    fn one_process_has_everything() {
        let one = Ranks::one();
        assert_eq!(one.share(&[1, 2, 3], 2, |own| own.iter().map(|x| 10 * x).collect()), [10, 20, 30]);
        assert_eq!(one.by_first(|| Err::<(), _>("reason")), Err("reason"));
        assert!(one.any(true) && !one.any(false) && one.is_first());
        let mut numbers = [0.1, -2.0];
        one.sum(&mut numbers);
        assert_eq!(numbers, [0.1, -2.0]);
    }

    #[test]
    fn an_exit_code_survives_the_header() {
        assert!([0, 2, 70, 255].into_iter().all(|exit| failure(exit) < 0 && code(failure(exit)) == exit));
    }
}
