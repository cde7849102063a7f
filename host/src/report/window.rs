//! Before and after: the first step, from which nothing has been learnt yet, and the last ten.

use crate::record::RECENT;

/// Something of the first step, and of the last ten without the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window<T> {
    /// Of the first step: it is drawn before the policy learns from it.
    pub before: T,
    /// Of the last ten; empty where there is but one step.
    pub after: T,
}

impl<T: Clone> Window<Vec<T>> {
    /// Of steps in their order.
    pub fn of(steps: &[T]) -> Self {
        let rest = steps.get(1..).unwrap_or_default();
        Self {
            before: steps.iter().take(1).cloned().collect(),
            after: rest[rest.len().saturating_sub(RECENT)..].to_vec(),
        }
    }
}

impl<T> Window<T> {
    /// The same of something else.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Window<U> {
        Window { before: change(self.before), after: change(self.after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_never_contain_the_first() {
        let of = |steps: std::ops::RangeInclusive<u64>| Window::of(&steps.collect::<Vec<u64>>());
        assert_eq!(of(1..=100), Window { before: vec![1], after: (91..=100).collect() });
        assert_eq!(of(1..=3), Window { before: vec![1], after: vec![2, 3] });
        assert_eq!(of(1..=1), Window { before: vec![1], after: vec![] });
        assert_eq!(Window::<Vec<u64>>::of(&[]), Window::default());
    }
}
