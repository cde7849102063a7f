//! Pages of Markdown: their sections, tables and blocks of code.

use std::path::{Path, PathBuf};

/// The repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A document.
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// A page of the book.
pub fn book(name: &str) -> Page {
    read(&Path::new(ROOT).join("docs/src").join(name))
}

/// The README and the book: what is written for users.
pub fn guide() -> Vec<Page> {
    let mut pages = vec![read(&Path::new(ROOT).join("README.md"))];
    pages.extend(under(&Path::new(ROOT).join("docs/src")));
    pages
}

/// Every document of the project, without the frozen copies of earlier releases.
pub fn all() -> Vec<Page> {
    let mut pages: Vec<Page> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].iter().map(|name| read(&Path::new(ROOT).join(name))).collect();
    for folder in ["docs/src", "plugin-api", "plugins", "models", "benches"] {
        pages.extend(under(&Path::new(ROOT).join(folder)));
    }
    pages
}

fn under(folder: &Path) -> Vec<Page> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let pages = |path: PathBuf| match path.is_dir() {
        true if path.ends_with("target") => Vec::new(),
        true => under(&path),
        false if path.extension().is_some_and(|extension| extension == "md") => vec![read(&path)],
        false => Vec::new(),
    };
    paths.into_iter().flat_map(pages).collect()
}

fn read(path: &Path) -> Page {
    Page { path: path.to_owned(), text: std::fs::read_to_string(path).unwrap() }
}

impl Page {
    /// The path within the repository, for messages.
    pub fn name(&self) -> String {
        self.path.strip_prefix(ROOT).unwrap().display().to_string()
    }

    /// The text without blocks of code.
    pub fn prose(&self) -> String {
        let mut fenced = false;
        let outside = |line: &&str| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence && !line.starts_with("    ")
        };
        self.text.lines().filter(outside).collect::<Vec<_>>().join("\n")
    }

    /// The headings, without their marks.
    pub fn headings(&self) -> Vec<String> {
        let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_owned());
        self.prose().lines().filter_map(heading).collect()
    }

    /// What stands under a heading, up to the next one.
    pub fn section(&self, heading: &str) -> String {
        let marked = |line: &&str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
        assert!(self.text.lines().any(|line| marked(&line)), "{} has no heading {heading:?}", self.name());
        let rest = self.text.lines().skip_while(|line| !marked(line)).skip(1);
        rest.take_while(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    }

    /// The text of the fenced blocks in a language.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let open = format!("```{language}\n");
        self.text.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    }

    /// Lines of indented or shell code; a line that ends with a backslash is joined with the next.
    pub fn shell_lines(&self) -> Vec<String> {
        let prose = self.text.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned);
        let fenced =
            self.blocks("sh").into_iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
        let text = prose.chain(fenced).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        text.lines().map(str::to_owned).collect()
    }
}

/// The cells of the tables in a text, without their headers.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |i: usize| lines.get(i).is_some_and(|line| line.starts_with("|---"));
    let is_row = |i: &usize| lines[*i].starts_with('|') && !is_rule(*i) && !is_rule(i + 1);
    (0..lines.len()).filter(is_row).map(|i| cells(lines[i])).collect()
}

fn cells(line: &str) -> Vec<String> {
    let escaped = line.replace("\\|", "\u{0}");
    let inner = escaped.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// The texts in backticks.
pub fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
