//! The syntax of CIF 1.1: words, loops and text fields (Hall, Allen and Brown, Acta Cryst. A47, 655 (1991);
//! International Tables G, chapter 2.2), and of CIF 2.0 (Bernstein et al., J. Appl. Cryst. 49, 277 (2016)).

use super::super::record::{RowError, excerpt};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The version of the syntax, by the comment in the first line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Version {
    One,
    /// With quotes of three characters, lists and tables.
    Two,
}

impl Version {
    /// Of a text from the start of its file.
    pub fn of(text: &str) -> Self {
        if text.starts_with("#\\#CIF_2.0") { Self::Two } else { Self::One }
    }
}

/// Names that the structure depends on begin so.
const STRUCTURE: [&str; 9] = [
    "_atom_site_fract",
    "_atom_site_cartn",
    "_atom_site_label",
    "_atom_site_type",
    "_atom_site_occ",
    "_cell_length",
    "_cell_angle",
    "_space_group",
    "_symmetry",
];

/// A word of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Word<'a> {
    /// Without its quotes.
    pub text: &'a str,
    pub line: usize,
    quoted: bool,
}

/// One `data_` block: every item is the column of a loop, lone items of a loop with one row.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    pub name: &'a str,
    loops: Vec<(usize, Vec<Word<'a>>)>,
    columns: HashMap<String, (usize, usize)>,
}

/// The values of one name.
#[derive(Clone, Copy)]
pub(super) struct Column<'b, 'a> {
    values: &'b [Word<'a>],
    width: usize,
    column: usize,
}

impl<'a> Word<'a> {
    /// Its text, unless it says "unknown" (`?`) or "not applicable" (`.`).
    pub fn known(&self) -> Option<&'a str> {
        (self.quoted || !matches!(self.text, "." | "?")).then_some(self.text)
    }

    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }

    fn after(&self, prefix: &str) -> Option<&'a str> {
        let start = self.text.get(..prefix.len()).filter(|_| !self.quoted)?;
        start.eq_ignore_ascii_case(prefix).then(|| &self.text[prefix.len()..])
    }

    fn is_tag(&self) -> bool {
        !self.quoted && self.text.starts_with('_')
    }

    fn is_value(&self) -> bool {
        let word = self.after("data_").or(self.after("save_"));
        !(self.is_tag() || word.is_some() || self.is("loop_") || self.is("stop_") || self.is("global_"))
    }
}

impl<'a> Block<'a> {
    /// Parses a text that holds one block; `first_line` is the number of its first line.
    pub fn parse(text: &'a str, first_line: usize, version: Version) -> Result<Self, RowError> {
        let words = words(text, first_line, version)?;
        let name = words.first().and_then(|word| word.after("data_"));
        let name = name.ok_or_else(|| RowError::missing("data_ block: not a CIF"))?;
        let mut block = Block { name, ..Block::default() };
        let mut rest = &words[1..];
        while let Some(word) = rest.first() {
            let tags = if word.is("loop_") { leading(&rest[1..], Word::is_tag) } else { &rest[..1] };
            if !tags.iter().all(Word::is_tag) || tags.is_empty() {
                return Err(RowError::syntax(word.line, format!("unexpected {}", excerpt(word.text))));
            }
            let is_loop = word.is("loop_");
            rest = &rest[tags.len() + usize::from(is_loop)..];
            let values = leading(rest, Word::is_value);
            let values = if is_loop { values } else { &values[..values.len().min(1)] };
            rest = &rest[values.len()..];
            block.add(tags, values, is_loop)?;
        }
        Ok(block)
    }

    /// A loop may be empty, an item may not.
    fn add(&mut self, tags: &[Word<'a>], values: &[Word<'a>], is_loop: bool) -> Result<(), RowError> {
        if (values.is_empty() && !is_loop) || !values.len().is_multiple_of(tags.len()) {
            let what = format!("{} values for the {} names from {}", values.len(), tags.len(), excerpt(tags[0].text));
            return Err(RowError::syntax(tags[0].line, what));
        }
        self.loops.push((tags.len(), values.to_vec()));
        let index = self.loops.len() - 1;
        for (column, tag) in tags.iter().enumerate() {
            let mut name = tag.text.to_ascii_lowercase();
            if name.contains('.') {
                name = name.replace('.', "_");
            }
            let known = match self.columns.entry(name) {
                Entry::Vacant(free) => {
                    free.insert((index, column));
                    continue;
                }
                Entry::Occupied(known) => known,
            };
            // Of a name that is given twice the first is taken where both are the same, or nothing depends on it.
            let texts = |(index, column)| Column::new(&self.loops, (index, column)).words().map(|word| word.text);
            let matters = STRUCTURE.iter().any(|prefix| known.key().starts_with(prefix));
            if matters && !texts(*known.get()).eq(texts((index, column))) {
                return Err(RowError::syntax(tag.line, format!("{} is given twice", excerpt(tag.text))));
            }
        }
        Ok(())
    }

    /// The values under a name (lower case, `.` as `_`).
    pub fn column(&self, tag: &str) -> Option<Column<'_, 'a>> {
        self.columns.get(tag).map(|place| Column::new(&self.loops, *place))
    }

    /// The first value under a name, if it is known.
    pub fn value(&self, tag: &str) -> Option<&'a str> {
        self.column(tag)?.words().next()?.known()
    }

    /// Whether any name begins like this.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.columns.keys().any(|tag| tag.starts_with(prefix))
    }
}

impl<'b, 'a> Column<'b, 'a> {
    fn new(loops: &'b [(usize, Vec<Word<'a>>)], (index, column): (usize, usize)) -> Self {
        let (width, values) = &loops[index];
        Self { values, width: *width, column }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// The values in their order.
    pub fn words(&self) -> impl Iterator<Item = Word<'a>> + use<'b, 'a> {
        self.values.iter().skip(self.column).step_by(self.width).copied()
    }

    /// The value of a row below [`Column::len`].
    pub fn word(&self, row: usize) -> Word<'a> {
        self.values[row * self.width + self.column]
    }

    /// Whether any value is known.
    pub fn is_known(&self) -> bool {
        self.words().any(|word| word.known().is_some())
    }

    /// Whether both are columns of one loop.
    pub fn is_beside(&self, other: &Self) -> bool {
        std::ptr::eq(self.values, other.values)
    }
}

fn leading<'w, 'a>(words: &'w [Word<'a>], of_kind: impl Fn(&Word<'a>) -> bool) -> &'w [Word<'a>] {
    &words[..words.iter().take_while(|word| of_kind(word)).count()]
}

fn words(text: &str, first_line: usize, version: Version) -> Result<Vec<Word<'_>>, RowError> {
    let mut words = Vec::new();
    let mut line = first_line;
    let mut rest = text;
    let mut at_line_start = true;
    while let Some(first) = rest.bytes().next() {
        let (word, length) = match first {
            b'\n' => {
                line += 1;
                (None, 1)
            }
            c if c.is_ascii_whitespace() => (None, 1),
            b'#' => (None, rest.find('\n').unwrap_or(rest.len())),
            b';' if at_line_start => {
                let end = rest.find("\n;").ok_or_else(|| RowError::syntax(line, "text field without an end"))?;
                (Some((rest[1..end].trim(), true)), end + 2)
            }
            b'\'' | b'"' => {
                let found = quoted(rest, version);
                let (quote, length) = found.ok_or_else(|| RowError::syntax(line, "quote without an end"))?;
                (Some((&rest[quote..length - quote], true)), length)
            }
            b'[' | b'{' if version == Version::Two => {
                let length = bracketed(rest).ok_or_else(|| RowError::syntax(line, "list or table without an end"))?;
                (Some((&rest[..length], true)), length)
            }
            _ => {
                let length = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
                (Some((&rest[..length], false)), length)
            }
        };
        words.extend(word.map(|(text, quoted)| Word { text, line, quoted }));
        if matches!(first, b';' | b'\'' | b'"' | b'[' | b'{') {
            line += rest[..length].matches('\n').count();
        }
        at_line_start = first == b'\n';
        rest = &rest[length..];
    }
    Ok(words)
}

/// Lengths of the quote and of the quoted word at the start. The word ends with the same quote, before white space, on the
/// same line; in CIF 2.0 whatever follows, and after three quotes also on a later line.
fn quoted(text: &str, version: Version) -> Option<(usize, usize)> {
    let (mark, bytes) = (&text[..1], text.as_bytes());
    if version == Version::Two {
        let three = mark.repeat(3);
        if text.starts_with(&three) {
            return text[3..].find(&three).map(|end| (3, end + 6));
        }
        let end = 1 + text[1..].find(['\n', char::from(bytes[0])])?;
        return text[end..].starts_with(mark).then_some((1, end + 1));
    }
    for (at, c) in bytes.iter().enumerate().skip(1) {
        if *c == b'\n' {
            return None;
        }
        if *c == bytes[0] && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) {
            return Some((1, at + 1));
        }
    }
    None
}

/// Length of the list or table at the start; quotes inside may hold brackets.
fn bracketed(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(c) = text.as_bytes().get(at) {
        match c {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'\'' | b'"' => at += quoted(&text[at..], Version::Two)?.1 - 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_quoting_rules() {
        let text = "data_a # comment\n_tag 'it''s' \"x y\"\n;two\nlines ; '\n; ';' a#b\r\n'a'b c'\n";
        let found: Vec<(&str, usize)> =
            words(text, 5, Version::One).unwrap().iter().map(|w| (w.text, w.line)).collect();
        let expected = [
            ("data_a", 5),
            ("_tag", 6),
            ("it''s", 6),
            ("x y", 6),
            ("two\nlines ; '", 7),
            (";", 9),
            ("a#b", 9),
            ("a'b c", 10),
        ];
        assert_eq!(found, expected);
        for text in ["'abc", "'abc\n'", "\n;abc\n"] {
            assert!(matches!(words(text, 1, Version::One), Err(RowError::Syntax { .. })), "{text:?}");
        }
    }

    #[test]
    fn loops_and_items_are_columns() {
        let block =
            Block::parse("data_A\n_x 1\nloop_ _L.a _l_B 1 ? '?' .\n_y\n;\nhello\n;\n", 1, Version::One).unwrap();
        assert_eq!(block.name, "A");
        assert_eq!(block.value("_x"), Some("1"));
        assert_eq!(block.value("_y"), Some("hello"));
        let known = |tag| block.column(tag).unwrap().words().map(|w| w.known()).collect::<Vec<_>>();
        assert_eq!(known("_l_a"), [Some("1"), Some("?")]);
        assert_eq!(known("_l_b"), [None, None]);
        let column = |tag| block.column(tag).unwrap();
        assert!(column("_l_a").is_beside(&column("_l_b")) && !column("_l_a").is_beside(&column("_x")));
    }

    #[test]
    fn doubled_names_and_empty_loops_pass_where_nothing_depends_on_them() {
        let text = "data_a\n_x 1\nloop_ _e _f\nloop_ _g _x 3 4 5 6\n_x 2\n_cell_length_a 3\n_cell_length_a 3\n";
        let block = Block::parse(text, 1, Version::One).unwrap();
        assert_eq!((block.value("_x"), block.value("_cell_length_a")), (Some("1"), Some("3")));
        assert_eq!(block.column("_f").unwrap().len(), 0);
        assert_eq!(block.column("_g").unwrap().words().map(|word| word.text).collect::<Vec<_>>(), ["3", "5"]);
    }

    #[test]
    fn version_two_has_long_quotes_lists_and_tables() {
        let text =
            "#\\#CIF_2.0\ndata_a\n_a '''It's\n\n 'x' '''\n_b [1 [2 ']'] {'k':\"}\"}]\n_c \"x\"_d 2\n_e '\u{e9}'\n";
        let block = Block::parse(text, 1, Version::of(text)).unwrap();
        assert_eq!(block.value("_a"), Some("It's\n\n 'x' "));
        assert_eq!((block.value("_b"), block.value("_c")), (Some("[1 [2 ']'] {'k':\"}\"}]"), Some("x")));
        assert_eq!((block.value("_d"), block.value("_e")), (Some("2"), Some("\u{e9}")));
        for (text, line) in [("data_a\n_a\n'''b\n'\n", 3), ("data_a\n_a [1\n2\n", 2), ("data_a\n_a 'b\n'\n", 2)] {
            match Block::parse(text, 1, Version::Two) {
                Err(RowError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn broken_blocks_name_the_line() {
        for (text, line) in [
            ("data_a\nloop_\n_a\n_b\n1 2 3\n", 3),
            ("data_a\n_a\n_b 1\n", 2),
            ("data_a\n_a 1 2\n", 2),
            ("data_a\n_cell_length_a 1\n\n_Cell_length_A 2\n", 4),
            ("data_a\nloop_\n_symmetry_x\n1 2\nloop_\n_symmetry_x\n1 3\n", 6),
            ("data_a\n_a 1\ndata_b\n", 3),
            ("data_a\nloop_ 1\n", 2),
        ] {
            match Block::parse(text, 1, Version::One) {
                Err(RowError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        assert!(matches!(Block::parse("hello", 1, Version::One), Err(RowError::Missing { .. })));
        assert!(matches!(Block::parse("", 1, Version::One), Err(RowError::Missing { .. })));
    }
}
