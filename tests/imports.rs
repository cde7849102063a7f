//! The tables of ARCHITECTURE.md, held against the sources: which module may import which, and what is kept to one place.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// What a source file refers to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    /// The first name behind the root of the crate.
    Module(String),
    /// An identifier or keyword, whatever it means there.
    Word(String),
}

#[test]
fn modules_import_what_the_architecture_allows() {
    let allowed = table("## Who may import whom");
    let modules = sources().into_iter().map(|file| owner(&file)).filter(|name| name != "lib");
    assert_eq!(modules.collect::<BTreeSet<_>>(), allowed.keys().cloned().collect(), "modules, and rows of the table");
    let mut broken = Vec::new();
    for (file, line, reference) in references() {
        let (from, Reference::Module(to)) = (owner(&file), reference) else { continue };
        if from != to && !allowed.get(&from).is_some_and(|modules| modules.contains(&to)) {
            broken.push(format!("{}:{line}: `{from}` must not import `{to}`", file.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_allowed_imports_have_no_cycle() {
    let mut left = table("## Who may import whom");
    while !left.is_empty() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, imports| !imports.is_disjoint(&names));
        assert!(left.len() < names.len(), "these import each other, or what has no row: {left:?}");
    }
}

#[test]
fn what_belongs_to_one_module_is_named_nowhere_else() {
    let places = table("## Kept to one place");
    assert!(places.contains_key("ort") && places.contains_key("unsafe"));
    let mut broken = Vec::new();
    for (file, line, reference) in references() {
        let (module, Reference::Word(word)) = (owner(&file), reference) else { continue };
        if places.get(&word).is_some_and(|modules| !modules.contains(&module)) {
            broken.push(format!("{}:{line}: `{word}` does not belong to `{module}`", file.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn plugins_depend_on_nothing_of_ours_but_their_interface() {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    let manifests = std::fs::read_dir(plugins).unwrap().map(|plugin| plugin.unwrap().path().join("Cargo.toml"));
    let mut found = 0;
    for manifest in manifests.filter(|manifest| manifest.is_file()) {
        found += 1;
        for line in std::fs::read_to_string(&manifest).unwrap().lines() {
            let name = line.split(['.', '=', ' ']).next().unwrap();
            let ours = name == "temper" || (name.starts_with("temper-") && name != "temper-plugin-api");
            assert!(!ours, "{}: {line}", manifest.display());
        }
    }
    assert!(found > 0, "{plugins} holds no plugin");
}

#[test]
fn every_way_to_leave_a_module_is_seen() {
    let cases = [
        ("use crate::hull::Hull;", &["hull"][..]),
        ("use crate::{hull::{self, Entry}, policy::*};", &["hull", "policy"]),
        ("fn f() -> crate::graph::Value { println!(\"{}\", crate::hull::X); }", &["graph", "hull"]),
        ("use super::super::train::Adam;", &["train"]),
        ("use super::{super::{record, cli::Exit}, sibling};", &["record", "cli"]),
        ("mod tests { use super::super::super::runtime; use super::super::sibling; }", &["runtime"]),
        ("macro_rules! m { () => { $crate::reward::Term } }", &["reward"]),
        ("use crate as root;", &["as"]),
        ("use super::super::*;", &["*"]),
        ("pub(crate) use super::sibling; pub(in crate::graph) use self::x; // crate::cli", &["graph"]),
        ("/// [`crate::cli`]\nconst NAME: &str = \"crate::cli\";", &[]),
    ];
    for (source, expected) in cases {
        let mut found = Vec::new();
        read(TokenStream::from_str(source).unwrap(), 2, &mut found);
        let modules = found.into_iter().filter_map(|(_, reference)| match reference {
            Reference::Module(name) => Some(name),
            Reference::Word(_) => None,
        });
        assert_eq!(modules.collect::<Vec<_>>(), expected, "{source}");
    }
}

/// The first table behind a heading of ARCHITECTURE.md: the name in the first column, the names in the second.
fn table(heading: &str) -> BTreeMap<String, BTreeSet<String>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(file).unwrap();
    let section = text.lines().skip_while(|line| *line != heading);
    let rows = section.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let table: BTreeMap<_, _> = rows
        .filter_map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            Some((named(cells[1]).pop()?, named(cells[2]).into_iter().collect()))
        })
        .collect();
    assert!(!table.is_empty(), "{file}: no table behind `{heading}`");
    table
}

/// All source files, relative to the source folder.
fn sources() -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(SOURCES).unwrap().to_owned());
            }
        }
    }
    let mut files = Vec::new();
    collect(Path::new(SOURCES), &mut files);
    files.sort();
    files
}

/// Names of the modules that a file's module is inside of, itself included.
fn module_path(file: &Path) -> Vec<String> {
    let names = file.with_extension("").iter().map(|name| name.to_str().unwrap().to_owned()).collect::<Vec<_>>();
    names.into_iter().filter(|name| name != "mod").collect()
}

/// The top-level module that a file belongs to.
fn owner(file: &Path) -> String {
    module_path(file).swap_remove(0)
}

/// File, line and reference, for all sources.
fn references() -> Vec<(PathBuf, usize, Reference)> {
    let mut all = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(Path::new(SOURCES).join(&file)).unwrap();
        let mut found = Vec::new();
        read(TokenStream::from_str(&text).unwrap(), module_path(&file).len(), &mut found);
        all.extend(found.into_iter().map(|(line, reference)| (file.clone(), line, reference)));
    }
    all
}

/// Collects references from tokens (so comments and strings do not count) of a module `depth` below the root of the crate.
fn read(tokens: TokenStream, depth: usize, found: &mut Vec<(usize, Reference)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Group(group) => read(group.stream(), depth, found),
            TokenTree::Ident(word) => {
                let line = word.span().start().line;
                found.push((line, Reference::Word(word.to_string())));
                let up = match word.to_string().as_str() {
                    // `temper` is what the binary calls the crate.
                    "crate" | "temper" => depth,
                    "super" => 1,
                    "mod" => {
                        if let Some(body) = tokens.get(at + 1).and_then(braces) {
                            read(body.stream(), depth + 1, found);
                            at += 2;
                        }
                        continue;
                    }
                    _ => continue,
                };
                let (above, next) = climb(&tokens, at, depth.saturating_sub(up));
                at = next;
                if above == 0 {
                    found.extend(entries(tokens.get(at)).into_iter().map(|name| (line, Reference::Module(name))));
                } else if let Some(list) = tokens.get(at).and_then(braces) {
                    read(list.stream(), above, found);
                    at += 1;
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Follows `::super` and a last `::` from `at`: the depth reached, and where the rest of the path begins.
fn climb(tokens: &[TokenTree], mut at: usize, mut depth: usize) -> (usize, usize) {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.to_string() == text);
    while is(at, ":") && is(at + 1, ":") {
        at += 2;
        if !is(at, "super") {
            break;
        }
        at += 1;
        depth = depth.saturating_sub(1);
    }
    (depth, at)
}

/// What is imported from the root by the token that follows it: one name, or the first name of every path in braces.
fn entries(token: Option<&TokenTree>) -> Vec<String> {
    match token {
        Some(TokenTree::Group(list)) => {
            let tokens: Vec<TokenTree> = list.stream().into_iter().collect();
            let paths = tokens.split(|token| token.to_string() == ",");
            paths.filter_map(|path| path.first()).map(ToString::to_string).collect()
        }
        Some(token) => vec![token.to_string()],
        // `pub(crate)`.
        None => Vec::new(),
    }
}

fn braces(token: &TokenTree) -> Option<&Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}
