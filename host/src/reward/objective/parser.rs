//! From text to stack program.

use super::{Function, MAX_DEPTH, ObjectiveError, Operation, Step};

/// The terms that `source` names, in the order of their first use, and its program. Without `known` terms, any name is one.
pub(super) fn compile(source: &str, known: Option<Vec<&str>>) -> Result<(Vec<String>, Vec<Step>), ObjectiveError> {
    let mut parser = Parser {
        text: source.chars().collect(),
        at: 0,
        depth: 0,
        known,
        terms: Vec::new(),
        program: Vec::new(),
        constants: Vec::new(),
    };
    parser.sum()?;
    if parser.peek().is_some() {
        return Err(parser.syntax("an operator or the end"));
    }
    Ok((parser.terms, parser.program))
}

/// Recursive descent that emits the stack program as it reads.
struct Parser<'a> {
    text: Vec<char>,
    at: usize,
    depth: usize,
    known: Option<Vec<&'a str>>,
    terms: Vec<String>,
    program: Vec<Step>,
    /// For each value that the program so far leaves on the stack: what it is, if constant.
    constants: Vec<Option<f64>>,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<(), ObjectiveError> {
        self.product()?;
        while let Some(sign @ ('+' | '-')) = self.peek() {
            let column = self.advance();
            self.product()?;
            self.emit(if sign == '+' { Operation::Add } else { Operation::Subtract }, column)?;
        }
        Ok(())
    }

    fn product(&mut self) -> Result<(), ObjectiveError> {
        self.unary()?;
        while let Some(sign @ ('*' | '/')) = self.peek() {
            let column = self.advance();
            self.unary()?;
            self.emit(if sign == '*' { Operation::Multiply } else { Operation::Divide }, column)?;
        }
        Ok(())
    }

    /// Every recursion passes here, so here its depth is bounded.
    fn unary(&mut self) -> Result<(), ObjectiveError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ObjectiveError::TooDeep { column: self.column() });
        }
        match self.peek() {
            Some('-') => {
                let column = self.advance();
                self.unary()?;
                self.emit(Operation::Negate, column)?;
            }
            Some('+') => {
                self.advance();
                self.unary()?;
            }
            _ => self.power()?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn power(&mut self) -> Result<(), ObjectiveError> {
        self.atom()?;
        if self.peek() == Some('^') {
            let column = self.advance();
            self.unary()?;
            self.emit(Operation::Power, column)?;
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<(), ObjectiveError> {
        match self.peek() {
            Some('(') => {
                self.advance();
                self.sum()?;
                self.expect(')', "`)` or an operator")
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let column = self.column();
                let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
                if self.peek() == Some('(') { self.call(&name, column) } else { self.term(name, column) }
            }
            _ => Err(self.syntax("a number, a reward term, a function or `(`")),
        }
    }

    fn number(&mut self) -> Result<(), ObjectiveError> {
        let column = self.column();
        let mut text = self.take_while(|c| c.is_ascii_digit() || c == '.');
        if let Some('e' | 'E') = self.text.get(self.at) {
            text.push('e');
            self.at += 1;
            if let Some(sign @ ('+' | '-')) = self.text.get(self.at) {
                text.push(*sign);
                self.at += 1;
            }
            text += &self.take_while(|c| c.is_ascii_digit());
        }
        let Ok(value) = text.parse() else {
            return Err(ObjectiveError::Syntax { column, expected: "a number", found: format!("`{text}`") });
        };
        self.emit(Operation::Number(value), column)
    }

    fn term(&mut self, name: String, column: usize) -> Result<(), ObjectiveError> {
        if let Some(known) = self.known.as_ref().filter(|known| !known.contains(&name.as_str())) {
            return Err(unknown("reward term", name, column, known));
        }
        let index = self.terms.iter().position(|t| *t == name).unwrap_or_else(|| {
            self.terms.push(name);
            self.terms.len() - 1
        });
        self.emit(Operation::Term(index), column)
    }

    fn call(&mut self, name: &str, column: usize) -> Result<(), ObjectiveError> {
        let Some(&(_, function)) = Function::ALL.iter().find(|(n, _)| *n == name) else {
            return Err(unknown("function", name.into(), column, &Function::ALL.map(|(n, _)| n)));
        };
        self.advance();
        let mut count = 0;
        if self.peek() != Some(')') {
            self.sum()?;
            count = 1;
            while self.peek() == Some(',') {
                self.advance();
                self.sum()?;
                count += 1;
            }
        }
        self.expect(')', "`,`, `)` or an operator")?;
        if !function.arity().contains(&count) {
            return Err(ObjectiveError::Arity { column, signature: function.signature(), found: count });
        }
        self.emit(Operation::Call(function, count), column)
    }

    /// Appends a step, or its value where all operands are constants.
    fn emit(&mut self, operation: Operation, column: usize) -> Result<(), ObjectiveError> {
        let base = self.constants.len().saturating_sub(operation.operands());
        let operands = self.constants.split_off(base);
        if let Some(problem) = constant_problem(operation, &operands) {
            return Err(ObjectiveError::Constant { column, problem });
        }
        let known: Option<Vec<f64>> = operands.iter().copied().collect();
        let value = match operation {
            Operation::Term(_) => None,
            _ => known.map(|x| operation.apply(&x, &[])),
        };
        match value {
            Some(value) if !value.is_finite() => {
                return Err(ObjectiveError::Constant { column, problem: "this constant has no finite value" });
            }
            // Constant operands are one step each, the last of the program.
            Some(value) => {
                self.program.truncate(self.program.len() - operands.len());
                self.program.push((Operation::Number(value), column));
            }
            None => self.program.push((operation, column)),
        }
        self.constants.push(value);
        Ok(())
    }

    /// The next character that is no white space, not consumed.
    fn peek(&mut self) -> Option<char> {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Consumes the character that [`Parser::peek`] saw and gives its column.
    fn advance(&mut self) -> usize {
        self.at += 1;
        self.at
    }

    fn column(&self) -> usize {
        self.at + 1
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let taken: String = self.text[self.at..].iter().copied().take_while(|c| accept(*c)).collect();
        self.at += taken.len();
        taken
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<(), ObjectiveError> {
        if self.peek() != Some(wanted) {
            return Err(self.syntax(expected));
        }
        self.advance();
        Ok(())
    }

    fn syntax(&mut self, expected: &'static str) -> ObjectiveError {
        let found = self.peek().map_or("the end".into(), |c| format!("`{c}`"));
        ObjectiveError::Syntax { column: self.column(), expected, found }
    }
}

/// What makes a step meaningless whatever the terms are; `operands` are those known at load.
fn constant_problem(operation: Operation, operands: &[Option<f64>]) -> Option<&'static str> {
    match (operation, operands) {
        (Operation::Divide, [_, Some(0.0)]) => Some("division by zero"),
        (Operation::Call(Function::Gauss, _), [_, _, Some(width)]) if *width <= 0.0 => {
            Some("the width of gauss(x, centre, width) must be positive")
        }
        (Operation::Call(Function::Clamp, _), [_, Some(low), Some(high)]) if low > high => {
            Some("clamp(x, low, high) has low above high")
        }
        _ => None,
    }
}

fn unknown(kind: &'static str, name: String, column: usize, known: &[&str]) -> ObjectiveError {
    let nearest = crate::spelling::nearest(&name, known.iter().copied()).map(String::from);
    ObjectiveError::Unknown { column, kind, name, nearest, known: known.iter().map(|s| (*s).into()).collect() }
}
