//! What a user can do about an error: stands apart from the error's message, which says what is wrong.

/// An error that may know a way out.
pub trait Hint: std::error::Error {
    /// What may help, the likeliest first, each a clause without a full stop; empty where nothing is known.
    fn hints(&self) -> Vec<String>;
}
