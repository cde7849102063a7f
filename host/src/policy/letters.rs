//! The order in which a crystal's Wyckoff letters are written.

use crate::crystal::{SpaceGroup, wyckoff_position};

/// Whether a letter, as a number with 0 for the stop, may follow `previous` (`None` for the first slot): letters do not descend, those
/// without a free coordinate do not repeat, the first slot is no stop, and nothing but stops follows a stop.
pub fn letter_may_follow(group: SpaceGroup, previous: Option<u8>, letter: usize) -> bool {
    let position = |letter| u8::try_from(letter).ok().and_then(|letter| wyckoff_position(group, letter));
    match previous {
        None => position(letter).is_some(),
        Some(0) => letter == 0,
        Some(_) if letter == 0 => true,
        Some(previous) => {
            let previous = usize::from(previous);
            position(letter).is_some_and(|next| letter > previous || (letter == previous && !next.dof0))
        }
    }
}
