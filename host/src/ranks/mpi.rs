//! Several processes, connected by MPI.
//!
//! Sums are not left to MPI, which may take them in any order: each rank is sent one slice of everybody's numbers, sums it in the
//! order of the ranks, and sends the result to all. That moves as little as the best algorithm for long vectors does.

use ::mpi::datatype::{Partition, PartitionMut};
use ::mpi::environment::{Threading, Universe, initialize_with_threading};
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives};
use sha2::{Digest, Sha256};

use super::RanksError;

/// The most bytes or numbers that are exchanged at a time, because MPI counts in 32 bits.
const MOST: usize = 1 << 30;

/// MPI, until it is dropped.
pub(super) struct Session {
    /// Ends MPI when it is dropped.
    _universe: Universe,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session(rank {} of {})", self.rank(), self.size())
    }
}

impl Session {
    /// Connects with the others of so many tasks.
    pub fn start(tasks: usize) -> Result<Self, RanksError> {
        // Work that is shared out happens on other threads than the first, one call at a time.
        let (universe, threading) = initialize_with_threading(Threading::Serialized).ok_or(RanksError::Started)?;
        let session = Self { _universe: universe };
        if threading < Threading::Serialized {
            return Err(RanksError::Threads);
        }
        match session.size() {
            1 => Err(RanksError::Unconnected { tasks }),
            _ => session.of_one_program(),
        }
    }

    /// Ranks of different builds might not read one another, and might compute something else.
    fn of_one_program(self) -> Result<Self, RanksError> {
        let all = headers(program());
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(self),
            Some(rank) => Err(RanksError::Programs { rank }),
        }
    }

    pub fn size(&self) -> usize {
        size()
    }

    pub fn rank(&self) -> usize {
        rank()
    }

    /// Parts from the others, all of which do.
    pub fn end(self) {
        drop(self);
    }

    /// Leaves the connection to the end of the process: the others may never come to part.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// Ends all ranks at once.
    pub fn abort(self, code: u8) {
        world().abort(code.into());
    }
}

/// The beginning of the SHA-256 of this program's file, or of its version where the file cannot be read.
fn program() -> i64 {
    let file = std::env::current_exe().and_then(std::fs::read);
    let hash = Sha256::digest(file.as_deref().unwrap_or(env!("CARGO_PKG_VERSION").as_bytes()));
    hash.iter().take(8).fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// What every rank says in a number.
pub(super) fn headers(own: i64) -> Vec<i64> {
    let mut all = vec![0; size()];
    world().all_gather_into(&own, &mut all[..]);
    all
}

/// The bytes of each rank, of these lengths.
pub(super) fn all_gather(own: &[u8], lengths: &[i64]) -> Vec<Vec<u8>> {
    let lengths: Vec<usize> = lengths.iter().map(|length| *length as usize).collect();
    let (most, longest) = ((MOST / size()).max(1), lengths.iter().copied().max().unwrap_or(0));
    let mut all = vec![Vec::new(); size()];
    for begin in (0..longest).step_by(most) {
        let piece = |length: usize| begin.min(length)..(begin + most).min(length);
        let counts: Vec<i32> = lengths.iter().map(|length| piece(*length).len() as i32).collect();
        let (places, total) = places(&counts);
        let mut pieces = vec![0; total];
        let mut received = PartitionMut::new(&mut pieces[..], &counts[..], &places[..]);
        world().all_gather_varcount_into(&own[piece(own.len())], &mut received);
        for (rank, (place, count)) in places.iter().zip(&counts).enumerate() {
            all[rank].extend_from_slice(&pieces[*place as usize..(place + count) as usize]);
        }
    }
    all
}

/// Replaces numbers by their sums over the ranks.
pub(super) fn sum(numbers: &mut [f32]) {
    numbers.chunks_mut(MOST).for_each(sum_piece);
}

fn sum_piece(numbers: &mut [f32]) {
    let (size, rank) = (size(), rank());
    let edge = |rank: usize| (rank as u64 * numbers.len() as u64 / size as u64) as usize;
    let counts: Vec<i32> = (0..size).map(|rank| (edge(rank + 1) - edge(rank)) as i32).collect();
    let own = counts[rank] as usize;
    let (mut slices, own_counts) = (vec![0.0_f32; own * size], vec![own as i32; size]);
    world().all_to_all_varcount_into(
        &Partition::new(&*numbers, &counts[..], &places(&counts).0[..]),
        &mut PartitionMut::new(&mut slices[..], &own_counts[..], &places(&own_counts).0[..]),
    );
    let (sums, others) = slices.split_at_mut(own);
    for slice in others.chunks(own.max(1)) {
        sums.iter_mut().zip(slice).for_each(|(sum, x)| *sum += x);
    }
    let places = places(&counts).0;
    world().all_gather_varcount_into(&*sums, &mut PartitionMut::new(numbers, counts, places));
}

/// Where each of some parts begins, and where the last one ends.
fn places(counts: &[i32]) -> (Vec<i32>, usize) {
    let mut end = 0;
    let place = |count: &i32| {
        let begin = end;
        end += count;
        begin
    };
    let places = counts.iter().map(place).collect();
    (places, end as usize)
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

fn size() -> usize {
    world().size() as usize
}

fn rank() -> usize {
    world().rank() as usize
}
