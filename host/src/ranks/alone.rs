//! Without the feature `mpi` there is never more than one process.

use super::RanksError;

/// A connection that cannot be.
#[derive(Debug)]
pub(super) enum Session {}

impl Session {
    pub fn start(tasks: usize) -> Result<Self, RanksError> {
        Err(RanksError::NotBuilt { tasks })
    }

    pub fn size(&self) -> usize {
        match *self {}
    }

    pub fn rank(&self) -> usize {
        match *self {}
    }

    pub fn end(self) {
        match self {}
    }

    pub fn forget(self) {
        match self {}
    }

    pub fn abort(self, _: u8) {
        match self {}
    }
}

pub(super) fn headers(own: i64) -> Vec<i64> {
    vec![own]
}

pub(super) fn all_gather(own: &[u8], _: &[i64]) -> Vec<Vec<u8>> {
    vec![own.to_vec()]
}

pub(super) fn sum(_: &mut [f32]) {}
