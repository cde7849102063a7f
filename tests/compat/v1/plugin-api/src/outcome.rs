//! What a plugin says of one crystal.

use crate::abi::{ABSTAIN, FAILED, RawOutcomes, VALUE};

/// What a plugin says of one crystal.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A number, in the unit of the plugin's [`Properties`](crate::Properties). NaN and infinity count as failures.
    Value(f64),
    /// It has nothing to say of this crystal; not a failure.
    Abstain,
    /// It could not be computed, and why. The reason is shown to the user, and should hold the numbers that matter.
    Failed(String),
}

impl Outcome {
    /// A failure with its reason.
    pub fn failed(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }
}

impl From<f64> for Outcome {
    fn from(value: f64) -> Self {
        Self::Value(value)
    }
}

impl<E: ToString> From<Result<f64, E>> for Outcome {
    fn from(result: Result<f64, E>) -> Self {
        result.map_or_else(|error| Self::failed(error), Self::Value)
    }
}

impl RawOutcomes {
    /// Outcomes as they cross the boundary.
    pub fn pack(outcomes: Vec<Outcome>) -> Self {
        let mut raw = Self::default();
        raw.values.reserve(outcomes.len());
        raw.statuses.reserve(outcomes.len());
        for outcome in outcomes {
            let (value, status) = match outcome {
                Outcome::Value(value) => (value, VALUE),
                Outcome::Abstain => (f64::NAN, ABSTAIN),
                Outcome::Failed(reason) => {
                    raw.reasons.push(reason.into());
                    (f64::NAN, FAILED)
                }
            };
            raw.values.push(value);
            raw.statuses.push(status);
        }
        raw
    }

    /// The outcomes of `crystals` crystals, whoever wrote the columns.
    ///
    /// # Errors
    /// A sentence saying which column is too short or too long, or which status there is not.
    pub fn unpack(self, crystals: usize) -> Result<Vec<Outcome>, String> {
        let (values, statuses) = (self.values.len(), self.statuses.len());
        if values != crystals || statuses != crystals {
            return Err(format!("it gave {values} values and {statuses} statuses for {crystals} crystals"));
        }
        let failed = self.statuses.iter().filter(|status| **status == FAILED).count();
        if self.reasons.len() != failed {
            return Err(format!("it gave {} reasons for {failed} failures", self.reasons.len()));
        }
        let mut reasons = self.reasons.into_iter();
        let outcome = |(value, status): (&f64, &u8)| match *status {
            VALUE => Ok(Outcome::Value(*value)),
            ABSTAIN => Ok(Outcome::Abstain),
            FAILED => Ok(Outcome::Failed(reasons.next().map(String::from).unwrap_or_default())),
            other => Err(format!("it gave the status {other}, which means nothing")),
        };
        self.values.iter().zip(&self.statuses).map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_as_they_were() {
        let outcomes =
            vec![Outcome::Failed("a".into()), Outcome::Value(1.5), Outcome::Abstain, Outcome::Failed("b".into())];
        assert_eq!(RawOutcomes::pack(outcomes.clone()).unpack(4), Ok(outcomes));
    }

    #[test]
    fn columns_that_lie_are_caught() {
        let honest = || RawOutcomes::pack(vec![Outcome::Value(1.0), Outcome::failed("x")]);
        assert_eq!(honest().unpack(3), Err("it gave 2 values and 2 statuses for 3 crystals".into()));
        let mut mute = honest();
        mute.reasons.clear();
        assert_eq!(mute.unpack(2), Err("it gave 0 reasons for 1 failures".into()));
        let mut odd = honest();
        odd.statuses[0] = 9;
        assert_eq!(odd.unpack(2), Err("it gave the status 9, which means nothing".into()));
    }
}
