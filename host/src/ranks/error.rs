//! Why ranks cannot be connected, or cannot go on.

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
    #[error("rank {rank} runs another program than rank 0: another build or version of Temper")]
    Programs {
        /// The first that does.
        rank: usize,
    },
    /// A bug: a value that cannot be sent.
    #[error("a bug: rank {rank} has something that cannot be sent: {reason}")]
    Unsendable {
        /// This one.
        rank: usize,
        /// Of the serialiser.
        reason: postcard::Error,
    },
    /// A bug: bytes that mean nothing here.
    #[error("a bug: rank {rank} cannot read the {bytes} bytes that rank {from} has sent: {reason}")]
    Unreadable {
        /// This one.
        rank: usize,
        /// Who has sent them.
        from: usize,
        /// How many.
        bytes: usize,
        /// Of the deserialiser.
        reason: postcard::Error,
    },
    /// A bug: a meeting to which the first rank brings nothing.
    #[error("a bug: rank 0 has not said what rank {rank} needs")]
    Missing {
        /// This one.
        rank: usize,
    },
}

/// What those need who do not want to share.
const ALONE: &str = "if each task has work of its own, such as another config, add `--alone`";

impl Hint for RanksError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotBuilt { .. } => vec![
                "build it with `cargo install --path host --features mpi` to share the work, or start one task"
                    .to_owned(),
                ALONE.to_owned(),
            ],
            Self::Unconnected { .. } => vec![
                "srun may need `--mpi=pmix`, or start it with the mpirun of the library that it was built with"
                    .to_owned(),
                ALONE.to_owned(),
            ],
            Self::Programs { .. } => vec!["all nodes must run the same file".to_owned()],
            Self::Unsendable { .. } | Self::Unreadable { .. } | Self::Missing { .. } => {
                vec!["please report this line together with the command and its config".to_owned()]
            }
            Self::Started | Self::Threads => Vec::new(),
        }
    }
}
