//! The objective: one arithmetic expression over reward terms, maximised by training.
//!
//! ```text
//! sum     := product (('+' | '-') product)*
//! product := unary (('*' | '/') unary)*
//! unary   := ('-' | '+') unary | power
//! power   := atom ('^' unary)?                 right associative, binds tighter than a sign: -x^2 is -(x^2)
//! atom    := number | term | function '(' sum (',' sum)* ')' | '(' sum ')'
//! ```
//!
//! An expression is checked and compiled to a stack program once; constant parts are computed then, so that a division by a
//! constant zero is found before any crystal is sampled. A row fails when *any* step of it is not finite: `min(1, 1/x)` at
//! `x = 0` is a failure, not 1.

mod condition;
mod function;
mod parser;
mod range;

pub use condition::{Condition, ConditionError, Undecided};
use function::Function;

use crate::hint::Hint;

/// Longest expression accepted, in characters.
const MAX_LENGTH: usize = 4096;
/// Deepest nesting of parentheses, signs and powers accepted.
const MAX_DEPTH: usize = 64;

/// What a step of the stack program does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Number(f64),
    Term(usize),
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Call(Function, usize),
}

impl Operation {
    /// How many values it takes from the stack; it puts one there.
    fn operands(self) -> usize {
        match self {
            Self::Number(_) | Self::Term(_) => 0,
            Self::Negate => 1,
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Power => 2,
            Self::Call(_, count) => count,
        }
    }

    fn apply(self, x: &[f64], terms: &[f64]) -> f64 {
        match (self, x) {
            (Self::Number(value), _) => value,
            (Self::Term(index), _) => terms.get(index).copied().unwrap_or(f64::NAN),
            (Self::Negate, [a]) => -a,
            (Self::Add, [a, b]) => a + b,
            (Self::Subtract, [a, b]) => a - b,
            (Self::Multiply, [a, b]) => a * b,
            (Self::Divide, [a, b]) => a / b,
            (Self::Power, [a, b]) => a.powf(*b),
            (Self::Call(function, _), x) => function.apply(x),
            _ => f64::NAN,
        }
    }
}

/// A step and the column (from 1) it was written at.
type Step = (Operation, usize);

/// A checked expression over named reward terms.
#[derive(Clone, Debug)]
pub struct Objective {
    source: String,
    /// Names of the terms used, each once, in the order of their first use.
    terms: Vec<String>,
    program: Vec<Step>,
}

/// Why a text is no objective. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ObjectiveError {
    /// Nothing but white space.
    #[error("the objective is empty")]
    Empty,
    /// More than 4096 characters.
    #[error("the objective has {length} characters, more than {MAX_LENGTH}")]
    TooLong {
        /// Characters found.
        length: usize,
    },
    /// Nested more than 64 levels deep.
    #[error("objective, column {column}: nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where the limit was passed.
        column: usize,
    },
    /// A character or the end of the text where something else must stand.
    #[error("objective, column {column}: expected {expected}, found {found}")]
    Syntax {
        /// Where.
        column: usize,
        /// What could stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A name that is no reward term, or a call of what is no function.
    #[error("objective, column {column}: no {kind} is called `{name}`")]
    Unknown {
        /// Where.
        column: usize,
        /// "reward term" or "function".
        kind: &'static str,
        /// The name as written.
        name: String,
        /// The known name that it most resembles.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A function with too few or too many arguments.
    #[error("objective, column {column}: {signature} was given {found} argument(s)")]
    Arity {
        /// Where.
        column: usize,
        /// How the function is called.
        signature: &'static str,
        /// Arguments given.
        found: usize,
    },
    /// A constant part without a finite value, or an argument with which the function has no meaning.
    #[error("objective, column {column}: {problem}")]
    Constant {
        /// Where.
        column: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A step that has no finite value wherever its terms lie in their ranges.
    #[error("objective, column {column}: {problem}")]
    Range {
        /// Where.
        column: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The same value wherever its terms lie in their ranges.
    #[error("the objective `{source_text}` is {value} for every crystal")]
    Same {
        /// The expression.
        source_text: String,
        /// Its value.
        value: f64,
    },
    /// No term is named, so that every crystal would score the same.
    #[error("the objective `{source_text}` names no reward term")]
    NoTerm {
        /// The expression.
        source_text: String,
    },
}

impl Hint for ObjectiveError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Empty => vec!["write an expression over the reward terms, such as \"-e_hull\"".to_owned()],
            Self::Unknown { nearest: Some(nearest), .. } => vec![format!("did you mean `{nearest}`?")],
            Self::Unknown { known, .. } if known.is_empty() => vec!["no reward term is defined".to_owned()],
            Self::Unknown { known, .. } => vec![format!("known: {}", known.join(", "))],
            _ => Vec::new(),
        }
    }
}

/// A step of a row's objective that has no finite value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the objective is {value} at column {column}")]
pub struct NotFinite {
    /// NaN or an infinity.
    pub value: f64,
    /// The step that gave it, as a column of the expression.
    pub column: usize,
}

impl Objective {
    /// Parses and checks an expression over the terms `known`.
    ///
    /// # Errors
    /// [`ObjectiveError`], with the column, for everything that can be wrong with the text.
    pub fn parse<S: AsRef<str>>(source: &str, known: &[S]) -> Result<Self, ObjectiveError> {
        let length = source.chars().count();
        if length > MAX_LENGTH {
            return Err(ObjectiveError::TooLong { length });
        }
        if source.trim().is_empty() {
            return Err(ObjectiveError::Empty);
        }
        let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
        let (terms, program) = parser::compile(source, Some(known))?;
        if terms.is_empty() {
            return Err(ObjectiveError::NoTerm { source_text: source.into() });
        }
        Ok(Self { source: source.into(), terms, program })
    }

    /// The expression as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The terms it names, in the order in which [`Objective::evaluate`] takes their values.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The value for one row; `terms[i]` is the value of `self.terms()[i]`.
    ///
    /// # Errors
    /// [`NotFinite`] when any step is NaN or infinite, a missing or non-finite term included.
    pub fn evaluate(&self, terms: &[f64]) -> Result<f64, NotFinite> {
        let mut stack: Vec<f64> = Vec::with_capacity(8);
        for &(operation, column) in &self.program {
            let base = stack.len().saturating_sub(operation.operands());
            let value = operation.apply(&stack[base..], terms);
            if !value.is_finite() {
                return Err(NotFinite { value, column });
            }
            stack.truncate(base);
            stack.push(value);
        }
        stack.pop().ok_or(NotFinite { value: f64::NAN, column: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: [&str; 4] = ["e_hull", "gap", "eps_total", "band_gap"];

    fn value(source: &str, terms: &[(&str, f64)]) -> f64 {
        let objective = Objective::parse(source, &TERMS).unwrap();
        let values: Vec<f64> =
            objective.terms().iter().map(|t| terms.iter().find(|(n, _)| n == t).unwrap().1).collect();
        objective.evaluate(&values).unwrap()
    }

    #[test]
    fn the_expressions_of_the_design() {
        assert_eq!(value("-e_hull", &[("e_hull", 0.25)]), -0.25);
        assert_eq!(value("eps_total * band_gap", &[("eps_total", 12.0), ("band_gap", 1.5)]), 18.0);
        let x = value("-abs(gap - 1.4) - 0.5*relu(e_hull - 0.1)", &[("gap", 1.0), ("e_hull", 0.3)]);
        assert!((x - (-0.4 - 0.1)).abs() < 1e-12);
    }

    #[test]
    fn precedence_and_associativity() {
        let at = |s: &str| value(s, &[("gap", 2.0)]);
        assert_eq!(at("1 - 2 - gap"), -3.0);
        assert_eq!(at("8 / 2 / gap"), 2.0);
        assert_eq!(at("1 + 2 * gap"), 5.0);
        assert_eq!(at("-gap^2"), -4.0);
        assert_eq!(at("2^gap^3"), 256.0);
        assert_eq!(at("gap^-1"), 0.5);
        assert_eq!(at("--gap * +3"), 6.0);
        assert_eq!(at("(1 + 2)\n * gap - .5e1"), 1.0);
    }

    #[test]
    fn every_function() {
        let at = |s: &str| value(s, &[("gap", 0.5)]);
        assert_eq!(at("min(3, gap, 2)"), 0.5);
        assert_eq!(at("max(3, gap)"), 3.0);
        assert_eq!(at("clamp(gap, 1, 2)"), 1.0);
        assert_eq!(at("clamp(gap, 0, 0.25)"), 0.25);
        assert!((at("exp(gap)") - 1.648_721_270_700_128_2).abs() < 1e-15);
        assert!((at("log(gap)") + std::f64::consts::LN_2).abs() < 1e-15);
        assert!((at("sqrt(gap)") - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-15);
        assert_eq!(at("abs(-gap)"), 0.5);
        assert_eq!(at("relu(-gap) + relu(gap)"), 0.5);
        assert!((at("sigmoid(gap)") - 0.622_459_331_201_854_6).abs() < 1e-15);
        assert_eq!(at("sigmoid(gap - 5000)"), 0.0);
        assert_eq!(at("gauss(gap, 0.5, 0.1)"), 1.0);
        assert!((at("gauss(gap, 0, 0.5)") - (-0.5f64).exp()).abs() < 1e-15);
        assert_eq!(at("step(gap, 0.5)"), 1.0);
        assert_eq!(at("step(gap, 0.51)"), 0.0);
    }

    #[test]
    fn mistakes_are_sentences_with_a_column() {
        let message = |s: &str| Objective::parse(s, &TERMS).unwrap_err().to_string();
        assert_eq!(message("-e_hul"), "objective, column 2: no reward term is called `e_hul`");
        assert_eq!(message("1 + sqr(gap)"), "objective, column 5: no function is called `sqr`");
        assert_eq!(message("clamp(gap, 1)"), "objective, column 1: clamp(x, low, high) was given 2 argument(s)");
        assert_eq!(
            message("gap +"),
            "objective, column 6: expected a number, a reward term, a function or `(`, found the end"
        );
        assert_eq!(message("gap gap"), "objective, column 5: expected an operator or the end, found `g`");
        assert_eq!(message("(gap"), "objective, column 5: expected `)` or an operator, found the end");
        assert_eq!(message("gap / (2 - 2)"), "objective, column 5: division by zero");
        assert_eq!(message("gap + log(-1)"), "objective, column 7: this constant has no finite value");
        assert_eq!(message("gap * 1e999"), "objective, column 7: this constant has no finite value");
        assert_eq!(message("gap * 1.2.3"), "objective, column 7: expected a number, found `1.2.3`");
        assert_eq!(message("gap; rm"), "objective, column 4: expected an operator or the end, found `;`");
        assert_eq!(message("1 + 2"), "the objective `1 + 2` names no reward term");
        assert!(matches!(Objective::parse(" \n", &TERMS), Err(ObjectiveError::Empty)));
        assert!(matches!(Objective::parse("gap()", &TERMS), Err(ObjectiveError::Unknown { kind: "function", .. })));
        assert!(matches!(Objective::parse("min()", &TERMS), Err(ObjectiveError::Arity { found: 0, .. })));
    }

    #[test]
    fn hostile_lengths_and_depths_are_refused() {
        for open in ["(", "-", "2^", "abs("] {
            let text = open.repeat(1000) + "gap";
            assert!(matches!(Objective::parse(&text, &TERMS), Err(ObjectiveError::TooDeep { .. })), "{open}");
        }
        assert!(matches!(Objective::parse(&"(".repeat(5000), &TERMS), Err(ObjectiveError::TooLong { length: 5000 })));
        assert!(Objective::parse(&("gap".to_string() + &"+gap".repeat(1000)), &TERMS).is_ok());
    }

    #[test]
    fn a_step_without_finite_value_fails_the_row() {
        let fails = |s: &str, x: f64| Objective::parse(s, &TERMS).unwrap().evaluate(&[x]).is_err();
        assert!(fails("min(1, 1 / gap)", 0.0));
        assert!(fails("max(0, log(gap))", -1.0));
        assert!(fails("gap", f64::NAN));
        assert!(fails("step(gap, 1)", f64::INFINITY));
        assert!(fails("1 / (1 + exp(gap))", 1e4));
        assert!(!fails("1 / gap", 2.0));
        assert!(Objective::parse("gap", &TERMS).unwrap().evaluate(&[]).is_err());
    }

    proptest! {
        /// Whatever is typed ends as an error or as a program that gives finite numbers or failures.
        #[test]
        fn any_text_is_survived(text in "[-+*/^(),. 0-9eagp_minsquxε]{0,60}") {
            if let Ok(objective) = Objective::parse(&text, &TERMS) {
                let values = vec![0.5; objective.terms().len()];
                if let Ok(value) = objective.evaluate(&values) { prop_assert!(value.is_finite()); }
            }
        }

        #[test]
        fn constants_do_not_change_a_value(a in -3.0..3.0f64, b in 0.1..3.0f64, x in -2.0..2.0f64) {
            let folded = value(&format!("gap * ({a} - {b} / 2) + max({a}, {b})"), &[("gap", x)]);
            prop_assert!((folded - (x * (a - b / 2.0) + a.max(b))).abs() < 1e-12);
        }
    }
}
