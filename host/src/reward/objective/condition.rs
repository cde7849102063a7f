//! Conditions: comparisons of expressions, joined by `and`.
//!
//! ```text
//! condition  := comparison ('and' comparison)*
//! comparison := sum ('<' | '<=' | '>' | '>=' | '==') sum
//! ```

use super::{MAX_LENGTH, Objective, parser};

/// A checked condition on named numbers, such as `e_hull < 0.1 and n_atoms <= 20`.
#[derive(Clone, Debug)]
pub struct Condition {
    source: String,
    /// Names of the numbers it reads, each once.
    names: Vec<String>,
    comparisons: Vec<Comparison>,
}

#[derive(Clone, Debug)]
struct Comparison {
    left: Objective,
    relation: Relation,
    right: Objective,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

impl Relation {
    /// Longer ones first.
    const ALL: [(&'static str, Self); 5] =
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("==", Self::Equal), ("<", Self::Less), (">", Self::More)];

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Equal => left == right,
        }
    }
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConditionError(String);

/// Why a condition is neither true nor false.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Undecided {
    /// A number that it reads is not there.
    #[error("there is no number `{name}`")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A side without a finite value.
    #[error("a side of `{condition}` is {value}")]
    NotFinite {
        /// The condition.
        condition: String,
        /// NaN or an infinity.
        value: f64,
    },
}

impl Condition {
    /// Parses and checks a condition; any name is taken.
    ///
    /// # Errors
    /// [`ConditionError`], with the column.
    pub fn parse(source: &str) -> Result<Self, ConditionError> {
        let text: Vec<char> = source.chars().collect();
        if text.len() > MAX_LENGTH {
            return Err(ConditionError(format!("{} characters, more than {MAX_LENGTH}", text.len())));
        }
        let mut ends = ands(&text);
        ends.push(text.len());
        let (mut comparisons, mut begin) = (Vec::new(), 0);
        for end in ends {
            comparisons.push(comparison(&text, begin, end)?);
            begin = end + "and".len();
        }
        let mut names: Vec<String> = Vec::new();
        for name in comparisons.iter().flat_map(|c| c.left.terms().iter().chain(c.right.terms())) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        match names.is_empty() {
            true => Err(ConditionError(format!("`{source}` names no number of a crystal"))),
            false => Ok(Self { source: source.to_owned(), names, comparisons }),
        }
    }

    /// The condition as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names of the numbers that it reads.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it is true, given the numbers by name.
    ///
    /// # Errors
    /// [`Undecided`]; no comparison is looked at that comes after one that is false.
    pub fn holds(&self, number: impl Fn(&str) -> Option<f64>) -> Result<bool, Undecided> {
        let side = |side: &Objective| {
            let missing = |name: &String| Undecided::Missing { name: name.clone() };
            let values = side.terms().iter().map(|name| number(name).ok_or_else(|| missing(name)));
            let values = values.collect::<Result<Vec<f64>, Undecided>>()?;
            side.evaluate(&values)
                .map_err(|error| Undecided::NotFinite { condition: self.source.clone(), value: error.value })
        };
        for Comparison { left, relation, right } in &self.comparisons {
            if !relation.holds(side(left)?, side(right)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Where the word `and` stands.
fn ands(text: &[char]) -> Vec<usize> {
    let is_part = |place: usize| text.get(place).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
    let is_word = |place: &usize| (*place == 0 || !is_part(place - 1)) && !is_part(place + 3);
    (0..text.len()).filter(|place| text[*place..].starts_with(&['a', 'n', 'd'])).filter(is_word).collect()
}

/// The comparison between two places of the text.
fn comparison(text: &[char], begin: usize, end: usize) -> Result<Comparison, ConditionError> {
    let is_sign = |place: &usize| "<>=".contains(text[*place]);
    let Some(at) = (begin..end).find(is_sign) else {
        return Err(ConditionError(format!("column {}: expected `<`, `<=`, `>`, `>=` or `==`", end + 1)));
    };
    let starts = |sign: &str| text[at..end].starts_with(&sign.chars().collect::<Vec<_>>());
    let Some((sign, relation)) = Relation::ALL.into_iter().find(|(sign, _)| starts(sign)) else {
        return Err(ConditionError(format!("column {}: `=` compares nothing: it is `==`", at + 1)));
    };
    let after = at + sign.len();
    if let Some(second) = (after..end).find(is_sign) {
        return Err(ConditionError(format!(
            "column {}: expected `and` or the end, found `{}`",
            second + 1,
            text[second]
        )));
    }
    Ok(Comparison { left: expression(text, begin, at)?, relation, right: expression(text, after, end)? })
}

/// The expression between two places, with blanks before it, so that it keeps its columns.
fn expression(text: &[char], begin: usize, end: usize) -> Result<Objective, ConditionError> {
    let source: String = std::iter::repeat_n(' ', begin).chain(text[begin..end].iter().copied()).collect();
    // Elsewhere these expressions are objectives over reward terms.
    let in_condition = |message: String| message.replace("objective, ", "").replace("a reward term", "a name");
    let (terms, program) =
        parser::compile(&source, None).map_err(|error| ConditionError(in_condition(error.to_string())))?;
    Ok(Objective { source, terms, program })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, e_hull: f64) -> Result<bool, Undecided> {
        let numbers = |name: &str| match name {
            "e_hull" => Some(e_hull),
            "n_atoms" => Some(8.0),
            _ => None,
        };
        Condition::parse(condition).unwrap().holds(numbers)
    }

    #[test]
    fn comparisons_and_their_ends() {
        for (condition, below, at, above) in [
            ("e_hull < 0.1", true, false, false),
            ("e_hull <= 0.1", true, true, false),
            ("e_hull > 0.1", false, false, true),
            ("0.1 <= e_hull", false, true, true),
            ("e_hull == 0.1", false, true, false),
            ("e_hull*n_atoms < 0.1*n_atoms and n_atoms>4", true, false, false),
            ("e_hull < 0.1 and n_atoms < 8", false, false, false),
            ("-abs(e_hull - 0.1) < -0.01", true, false, true),
        ] {
            let found = [0.05, 0.1, 0.2].map(|e_hull| holds(condition, e_hull).unwrap());
            assert_eq!(found, [below, at, above], "{condition}");
        }
    }

    #[test]
    fn what_is_not_there_is_neither_true_nor_false() {
        let said = |condition: &str| holds(condition, f64::NAN).unwrap_err().to_string();
        assert_eq!(said("band < 1"), "there is no number `band`");
        assert_eq!(said("e_hull < 1"), "a side of `e_hull < 1` is NaN");
        assert_eq!(said("log(8 - n_atoms) < 1"), "a side of `log(8 - n_atoms) < 1` is -inf");
        assert_eq!(holds("n_atoms > 9 and band < 1", 0.0), Ok(false), "the first decides");
    }

    #[test]
    fn mistakes_are_sentences_with_a_column() {
        let said = |condition: &str| Condition::parse(condition).unwrap_err().to_string();
        assert_eq!(said("e_hull"), "column 7: expected `<`, `<=`, `>`, `>=` or `==`");
        assert_eq!(said(""), "column 1: expected `<`, `<=`, `>`, `>=` or `==`");
        assert_eq!(said("e_hull = 1"), "column 8: `=` compares nothing: it is `==`");
        assert_eq!(said("0 < e_hull < 1"), "column 12: expected `and` or the end, found `<`");
        assert_eq!(said("e_hull < 1 and"), "column 15: expected `<`, `<=`, `>`, `>=` or `==`");
        assert_eq!(
            said("e_hull < 1 and x >"),
            "column 19: expected a number, a name, a function or `(`, found the end"
        );
        assert_eq!(said("e_hull < 1 and sqr(x) > 2"), "column 16: no function is called `sqr`");
        assert_eq!(said("1 < 2"), "`1 < 2` names no number of a crystal");
        assert!(said(&"x".repeat(5000)).starts_with("5000 characters"));
        // The word is a word only by itself.
        assert_eq!(Condition::parse("band < sand").unwrap().names(), ["band", "sand"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[-+*/^(),. 0-9eandx<>=µ]{0,40}") {
            if let Ok(condition) = Condition::parse(&text) {
                let _ = condition.holds(|_| Some(0.5));
            }
        }
    }
}
