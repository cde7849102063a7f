use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory, Parser};
use temper::cli::Arguments;

use crate::pages::{Page, all, book, quoted, rows};

/// The subcommands that do something, with their full names.
fn leaves(command: &Command, name: &str) -> Vec<(String, Command)> {
    let inner: Vec<&Command> =
        command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()).collect();
    match inner.is_empty() {
        true => vec![(name.to_owned(), command.clone())],
        false => inner.into_iter().flat_map(|sub| leaves(sub, &format!("{name} {}", sub.get_name()))).collect(),
    }
}

/// What an argument is called in the first column of a table.
fn shown(argument: &Arg) -> BTreeSet<String> {
    let value = argument.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
    let value = value.filter(|_| argument.get_action().takes_values());
    let repeated = argument.get_num_args().is_some_and(|n| n.max_values() > 1);
    let dots = if repeated { "..." } else { "" };
    let with = |name: String| value.as_ref().map_or(name.clone(), |value| format!("{name} <{value}>{dots}"));
    match (argument.get_long(), argument.get_short()) {
        (Some(long), short) => {
            [with(format!("--{long}"))].into_iter().chain(short.map(|short| format!("-{short}"))).collect()
        }
        (None, Some(short)) => [with(format!("-{short}"))].into(),
        (None, None) => {
            let name = value.unwrap();
            [if argument.is_required_set() { format!("<{name}>{dots}") } else { format!("[{name}]{dots}") }].into()
        }
    }
}

fn documented(page: &Page, heading: &str) -> BTreeSet<String> {
    rows(&page.section(heading)).iter().flat_map(|row| quoted(&row[0])).collect()
}

#[test]
fn the_page_has_every_option_of_every_subcommand() {
    let page = book("command-line.md");
    let mut command = Arguments::command();
    command.build();
    let own = |argument: &&Arg| !argument.is_global_set() && !["help", "version"].contains(&argument.get_id().as_str());
    let subcommands = leaves(&command, "temper");
    for (name, command) in &subcommands {
        let options: BTreeSet<String> = command.get_arguments().filter(own).flat_map(shown).collect();
        assert_eq!(documented(&page, name), options, "{name}");
        let section = page.section(name);
        let help = command.get_after_help().unwrap().to_string();
        for example in help.lines().filter(|line| line.trim().starts_with("temper ")) {
            assert!(section.lines().any(|line| line.trim() == example.trim()), "{name}: {example}");
        }
    }
    let names: Vec<String> = page.headings().into_iter().filter(|heading| heading.starts_with("temper ")).collect();
    assert_eq!(names.len(), subcommands.len(), "{names:?}");
    let mut globals: BTreeSet<String> =
        command.get_arguments().filter(|argument| argument.is_global_set()).flat_map(shown).collect();
    globals.extend(["-h", "--help", "-V", "--version"].map(str::to_owned));
    assert_eq!(documented(&page, "Global options"), globals);
}

/// The words of a command line as a shell parts them: quotes, comments and redirections are all that documents use.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars().chain([' ']) {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('#' | '>' | '&' | ';' | '|', None) if word.is_empty() => break,
            (' ', None) if word.is_empty() => {}
            (' ', None) => words.push(std::mem::take(&mut word)),
            (c, _) => word.push(c),
        }
    }
    words.into_iter().map(|word| if word.starts_with('$') { "1".to_owned() } else { word }).collect()
}

#[test]
fn every_command_in_the_documents_is_accepted() {
    let mut tried = 0;
    for page in all() {
        for line in page.shell_lines() {
            let line = line.trim_start_matches("$ ").trim_start_matches("exec ");
            let line = line.replace("cargo run --release -- ", "temper ");
            if !line.starts_with("temper ") || line.contains('<') {
                continue;
            }
            Arguments::try_parse_from(words(&line)).unwrap_or_else(|e| panic!("{}: {line}: {e}", page.name()));
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}
