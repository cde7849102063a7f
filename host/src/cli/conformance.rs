//! How the checks of models and of plugins are shown.

use serde_json::{Value, json};

use super::{Context, Failure};
use crate::conformance::CheckResult;

impl Context {
    /// Prints checks as a table, with a line that counts them.
    pub(super) fn print_checks(&self, checks: &[CheckResult], crystals: usize) -> Result<(), Failure> {
        let title = |check: &CheckResult| format!("{} {}", check.name, check.output).trim_end().to_owned();
        let width = checks.iter().map(|check| title(check).chars().count()).max().unwrap_or(0);
        let line = |title: &str, status: &str, number: &str, tolerance: &str, rest: &str| {
            let text = format!("{title:<width$}  {status:<7}  {number:>9}  {tolerance:>9}  {rest}");
            // Notes quote plugins, whose text could steer a terminal.
            self.print(text.replace(char::is_control, "").trim_end())
        };
        line("check", "", "number", "tolerance", "")?;
        for check in checks {
            let note = if check.note.is_empty() { String::new() } else { format!("({})", check.note) };
            let rest = format!("{} {note}", check.unit);
            line(&title(check), check.status.name(), &shown(check.number), &shown(check.tolerance), rest.trim())?;
        }
        let counted = |name: &str| checks.iter().filter(|check| check.status.name() == name).count();
        let (pass, fail, skipped) = (counted("pass"), counted("fail"), counted("skipped"));
        self.print(&format!("{pass} pass, {fail} fail, {skipped} skipped, on {crystals} crystals"))
    }
}

/// A check as JSON.
pub(super) fn check_as_json(check: &CheckResult) -> Value {
    json!({
        "check": check.name, "output": check.output, "status": check.status.name(), "number": check.number,
        "tolerance": check.tolerance, "unit": check.unit, "note": check.note,
    })
}

/// Whole numbers as they are, others with two digits.
fn shown(number: Option<f64>) -> String {
    match number {
        None => "-".into(),
        Some(x) if !x.is_finite() => "none".into(),
        Some(x) if x.fract() == 0.0 => format!("{x}"),
        Some(x) if x >= 10.0 => format!("{x:.0}"),
        Some(x) if x >= 0.1 => format!("{x:.2}"),
        Some(x) => format!("{x:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 1000.0, 1234.5, 12.6, 0.256, 3.21e-5, f64::INFINITY].map(|x| shown(Some(x)));
        assert_eq!(numbers, ["0", "1000", "1234", "13", "0.26", "3.2e-5", "none"]);
        assert_eq!(shown(None), "-");
    }
}
