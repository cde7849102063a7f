//! Why ranks cannot be connected.

use crate::hint::Hint;

/// Why several tasks are not the ranks of one command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RanksError {
    /// Built without MPI.
    #[error("started as one of {tasks} tasks, but this program was built without MPI: each would do the same work")]
    NotBuilt {
        /// As the launcher says.
        tasks: usize,
    },
    /// The launcher and the MPI library do not know each other.
    #[error("started as one of {tasks} tasks, but MPI sees one process")]
    Unconnected {
        /// As the launcher says.
        tasks: usize,
    },
    /// MPI was started before.
    #[error("MPI was started twice")]
    Started,
    /// An MPI library for programs of one thread.
    #[error("this MPI library does not let threads take turns (MPI_THREAD_SERIALIZED)")]
    Threads,
    /// Different programs.
    #[error("rank {rank} runs another version of Temper than rank 0")]
    Versions {
        /// The first that does.
        rank: usize,
    },
}

impl Hint for RanksError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotBuilt { .. } => vec![
                "build it with `cargo install --path host --features mpi` to share the work, or start one task"
                    .to_owned(),
            ],
            Self::Unconnected { .. } => vec![
                "srun may need `--mpi=pmix`, or start it with the mpirun of the library that it was built with"
                    .to_owned(),
            ],
            Self::Started | Self::Threads | Self::Versions { .. } => Vec::new(),
        }
    }
}
