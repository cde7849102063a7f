//! `temper plugin new`: a plugin to start from, which builds without changes.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure};

const MANIFEST: &str = include_str!("../../../../plugins/template/new.toml");
const SOURCE: &str = include_str!("../../../../plugins/template/src/lib.rs");
const README: &str = include_str!("../../../../plugins/template/README.md");

/// The name of the template, which the new one takes the place of, and as it stands in the name of the library.
const NAME: &str = "temper-template-plugin";
const LIBRARY: &str = "temper_template_plugin";
/// How the manifest depends on the interface.
const API: &str = "temper-plugin-api = \"1\"\n";

/// Longest name of a crate.
const LONGEST: usize = 64;

/// Names that cargo or the compiler keeps for itself, and those of the template's dependencies.
const TAKEN: [&str; 66] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "schemars",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "temper-plugin-api",
    "temper_plugin_api",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Write a plugin to start from: a crate with a reward, its tests and a README.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  temper plugin new my-reward\n\nThen, in the new folder: cargo test, cargo build --release."
)]
pub struct New {
    /// Name of the crate and of the plugin
    name: String,
    /// Folder in which the new one is made; by default the current folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Folder of temper-plugin-api; by default that of the source checkout from which Temper was built
    #[arg(long, value_name = "FOLDER")]
    api: Option<PathBuf>,
}

impl New {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        check_name(&self.name)?;
        let manifest = MANIFEST.replace(API, &self.dependency()?).replace(NAME, &self.name);
        let readme = README.replace(NAME, &self.name).replace(LIBRARY, &self.name.replace('-', "_"));
        let folder = self.dir.as_ref().map_or_else(|| self.name.clone().into(), |dir| dir.join(&self.name));
        make(&folder)?;
        make(&folder.join("src"))?;
        for (path, text) in [
            ("Cargo.toml", manifest.as_str()),
            ("src/lib.rs", SOURCE),
            ("README.md", &readme),
            (".gitignore", "/target\n"),
        ] {
            write(&folder.join(path), text)?;
        }
        context.say(&format!("wrote {}; the next steps are in its README.md", folder.display()));
        Ok(())
    }

    /// The line of the manifest on the interface.
    fn dependency(&self) -> Result<String, Failure> {
        let Some(given) = &self.api else {
            let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("plugin-api");
            if !checkout.join("Cargo.toml").is_file() {
                return Err(Failure::user(format!("{}: there is no temper-plugin-api any more", checkout.display()))
                    .hint("name the folder plugin-api of Temper's sources with --api"));
            }
            return Ok(format!(
                "# Of this Temper's source checkout; a git repository would do as well.\n{}",
                at(&checkout)
            ));
        };
        if !given.join("Cargo.toml").is_file() {
            return Err(Failure::user(format!("--api {}: not a crate, because it has no Cargo.toml", given.display())));
        }
        Ok(at(&std::path::absolute(given).unwrap_or_else(|_| given.clone())))
    }
}

fn at(folder: &Path) -> String {
    format!("temper-plugin-api = {{ version = \"1\", path = {} }}\n", toml::Value::from(&*folder.to_string_lossy()))
}

/// Refuses what cargo would refuse as the name of a crate.
fn check_name(name: &str) -> Result<(), Failure> {
    let refused = |why: &str| {
        let hint = "letters, digits, `-` and `_`, the first of them a letter, as in `my-reward`";
        Err(Failure::user(format!("`{name}` is not a valid name for a crate: {why}")).hint(hint))
    };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match name.chars().next() {
        None => refused("it is empty"),
        Some(first) if !first.is_ascii_alphabetic() => refused(&format!("it begins with `{first}`")),
        Some(_) if name.len() > LONGEST => refused(&format!("it is longer than {LONGEST} letters")),
        Some(_) => match name.chars().find(|c| !is_allowed(*c)) {
            Some(odd) => refused(&format!("it has a `{}`", odd.escape_debug())),
            None if TAKEN.contains(&name) => refused("that one is taken"),
            None => Ok(()),
        },
    }
}

fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir(folder).map_err(|error| cannot_write(folder, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::user(format!("{path} already exists")).hint("choose another name, or another folder with --dir")
        }
        _ => Failure::user(format!("cannot write {path}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_cargo_does() {
        for name in ["my-reward", "a", "Band_Gap2", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let refusal = |name: &str| check_name(name).unwrap_err().to_string();
        for (name, why) in [
            ("", "it is empty"),
            ("2d", "it begins with `2`"),
            ("-x", "it begins with `-`"),
            ("../x", "it begins with `.`"),
            ("a/b", "it has a `/`"),
            ("a b", "it has a ` `"),
            ("a\n", "it has a `\\n`"),
            ("dichte\u{e4}", "it has a `\u{e4}`"),
            ("match", "that one is taken"),
            ("serde", "that one is taken"),
            (&"x".repeat(65), "it is longer than 64 letters"),
        ] {
            let expected = format!("error: `{name}` is not a valid name for a crate: {why}\nhint: ");
            assert!(refusal(name).starts_with(&expected), "{}", refusal(name));
        }
    }

    /// A template without these would be written with its own name.
    #[test]
    fn the_template_has_what_is_replaced_in_it() {
        assert!(MANIFEST.contains(NAME) && MANIFEST.contains(API));
        assert!(README.contains(NAME) && README.contains(LIBRARY));
        assert!(!SOURCE.contains(NAME) && !SOURCE.contains(LIBRARY));
    }

    #[test]
    fn paths_of_any_kind_are_written_as_toml() {
        for path in ["/a b/plugin-api", "/a\"b", "C:\\x"] {
            let read: toml::Table = at(Path::new(path)).parse().unwrap();
            assert_eq!(read["temper-plugin-api"]["path"].as_str(), Some(path));
        }
    }
}
