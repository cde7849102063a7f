//! What an expression can give when its terms lie in known ranges: interval arithmetic, never too narrow.

use super::{Function, Objective, ObjectiveError, Operation};

/// Smallest and largest value; the ends may be infinite, values between them are not.
type Interval = [f64; 2];

const ANY: Interval = [f64::NEG_INFINITY, f64::INFINITY];

impl Objective {
    /// Refuses an expression that no crystal can make finite, or that is the same for every crystal; `ranges[i]` is the range
    /// of `self.terms()[i]`.
    ///
    /// # Errors
    /// [`ObjectiveError::Range`], with the column of the step, and [`ObjectiveError::Same`].
    pub fn check_ranges(&self, ranges: &[[f64; 2]]) -> Result<(), ObjectiveError> {
        let mut stack: Vec<Interval> = Vec::new();
        for &(operation, column) in &self.program {
            let operands = stack.split_off(stack.len().saturating_sub(operation.operands()));
            let problem = |problem| ObjectiveError::Range { column, problem };
            stack.push(apply(operation, &operands, ranges).map_err(problem)?);
        }
        match stack[..] {
            [[low, high]] if low == high => Err(ObjectiveError::Same { source_text: self.source.clone(), value: low }),
            _ => Ok(()),
        }
    }
}

fn apply(operation: Operation, x: &[Interval], ranges: &[Interval]) -> Result<Interval, &'static str> {
    Ok(match (operation, x) {
        (Operation::Number(value), _) => [value, value],
        (Operation::Term(index), _) => ranges.get(index).copied().unwrap_or(ANY),
        (Operation::Negate, [[low, high]]) => [-high, -low],
        (Operation::Add, [a, b]) => [a[0] + b[0], a[1] + b[1]],
        (Operation::Subtract, [a, b]) => [a[0] - b[1], a[1] - b[0]],
        (Operation::Multiply, [a, b]) => product(*a, *b),
        (Operation::Divide, [_, [0.0, 0.0]]) => return Err("division by what is always zero"),
        (Operation::Divide, [a, [low, high]]) if *low > 0.0 || *high < 0.0 => product(*a, [1.0 / high, 1.0 / low]),
        (Operation::Call(function, _), x) => call(function, x)?,
        _ => ANY,
    })
}

fn call(function: Function, x: &[Interval]) -> Result<Interval, &'static str> {
    let ends = |end: usize| x.iter().map(move |interval| interval[end]).collect::<Vec<f64>>();
    Ok(match (function, x) {
        (Function::Log, [[_, high]]) if *high <= 0.0 => return Err("log of what is never positive"),
        (Function::Sqrt, [[_, high]]) if *high < 0.0 => return Err("sqrt of what is always negative"),
        (Function::Exp, [[low, _]]) if low.exp().is_infinite() => return Err("exp of what is always too large"),
        (Function::Log | Function::Sqrt, [[low, high]]) => [low.max(0.0), *high].map(|x| function.apply(&[x])),
        (Function::Abs, [[low, high]]) if *low <= 0.0 && *high >= 0.0 => [0.0, high.max(-low)],
        (Function::Abs, [[low, high]]) => [low.abs().min(high.abs()), low.abs().max(high.abs())],
        (Function::Gauss, _) => [0.0, 1.0],
        (Function::Step, [x, at]) => [f64::from(u8::from(x[0] >= at[1])), f64::from(u8::from(x[1] >= at[0]))],
        // The others rise, or stay, with each of their arguments.
        _ => [function.apply(&ends(0)), function.apply(&ends(1))],
    })
}

/// Zero times an end at infinity is zero: the values up to that end are finite.
fn product(a: Interval, b: Interval) -> Interval {
    let times = |x: f64, y: f64| if x == 0.0 || y == 0.0 { 0.0 } else { x * y };
    let corners = [times(a[0], b[0]), times(a[0], b[1]), times(a[1], b[0]), times(a[1], b[1])];
    corners.into_iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: [&str; 3] = ["density", "neutral", "gap"];
    const RANGES: [Interval; 3] = [[0.0, f64::INFINITY], [0.0, 1.0], ANY];

    fn check(source: &str) -> Result<(), String> {
        let objective = Objective::parse(source, &TERMS).unwrap();
        let ranges: Vec<Interval> =
            objective.terms().iter().map(|t| RANGES[TERMS.iter().position(|n| n == t).unwrap()]).collect();
        objective.check_ranges(&ranges).map_err(|e| e.to_string())
    }

    #[test]
    fn what_no_crystal_can_satisfy_is_refused() {
        assert_eq!(check("gap + log(-density)"), Err("objective, column 7: log of what is never positive".into()));
        assert_eq!(check("sqrt(neutral - 2)"), Err("objective, column 1: sqrt of what is always negative".into()));
        assert_eq!(check("1 / (0 * gap)"), Err("objective, column 3: division by what is always zero".into()));
        assert_eq!(check("exp(1000 + density)"), Err("objective, column 1: exp of what is always too large".into()));
        assert_eq!(check("step(neutral, 2)"), Err("the objective `step(neutral, 2)` is 0 for every crystal".into()));
        assert_eq!(
            check("clamp(density, -2, -1)"),
            Err("the objective `clamp(density, -2, -1)` is -1 for every crystal".into())
        );
        for fine in
            ["log(gap)", "1 / density", "step(neutral, 1)", "-density * gap", "sqrt(density)", "gauss(gap, 1, 2)"]
        {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }

    proptest! {
        /// What is refused fails, or is the same, wherever the terms lie.
        #[test]
        fn nothing_that_works_is_refused(
            text in "(log|sqrt|abs|relu|sigmoid|exp|-)\\((gap|neutral)( [-+*/^] (neutral|gap|density|2)){1,3}\\)( [-+*] neutral)?",
            density in 0.0..50.0f64, gap in -20.0..20.0f64, neutral in 0..2u8,
        ) {
            let objective = Objective::parse(&text, &TERMS).unwrap();
            let at = |gap: f64, density: f64| {
                let value = |t: &String| match t.as_str() { "gap" => gap, "density" => density, _ => f64::from(neutral) };
                objective.evaluate(&objective.terms().iter().map(value).collect::<Vec<_>>())
            };
            if let Err(message) = check(&text) {
                match (at(gap, density), at(gap / 3.0, density / 3.0)) {
                    (Ok(a), Ok(b)) => prop_assert!(message.contains("every crystal") && a == b, "{message}: {a}, {b}"),
                    (a, b) => prop_assert!(a.is_err() || b.is_err()),
                }
            }
        }
    }
}
