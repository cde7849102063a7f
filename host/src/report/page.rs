//! The page as HTML.

use maud::{DOCTYPE, PreEscaped, html};

use super::{Figure, Section};

const STYLE: &str = include_str!("page.css");
/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// One file with everything in it.
pub fn page(title: &str, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content=(concat!("temper ", env!("CARGO_PKG_VERSION")));
                // Browsers ask for an icon unless they are given one.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    nav aria-label="Parts of this page" {
                        @for section in sections { a href=(format!("#{}", section.id)) { (section.title) } " " }
                    }
                }
                main { @for section in sections { (part(section)) } }
                footer { p { "Written by temper " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    };
    // HTML has no control characters, whatever stands in names and configs.
    let shown = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    page.into_string().chars().map(shown).collect()
}

fn part(section: &Section) -> maud::Markup {
    // Candidates have their pictures in their cards.
    let figures: Vec<&Figure> = section.figures.iter().filter(|figure| !figure.caption.0.is_empty()).collect();
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            (section.words)
            @if !figures.is_empty() {
                div.figures {
                    @for figure in figures {
                        figure { (PreEscaped(&figure.svg)) figcaption { (figure.caption) } }
                    }
                }
            }
            (section.after)
        }
    }
}
