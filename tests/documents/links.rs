use std::collections::BTreeSet;

use crate::pages::{Page, all, book, guide};

/// What a forge and mdBook make of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let inside = |rest: &str| rest.split(')').next().unwrap().to_owned();
    prose.split("](").skip(1).map(inside).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = all();
    let mut broken = Vec::new();
    for page in &pages {
        for target in targets(page).iter().filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
            let there = path.canonicalize().ok().is_some_and(|path| {
                let page = pages.iter().find(|page| page.path.canonicalize().unwrap() == path);
                heading.is_empty() || page.is_some_and(|page| page.headings().iter().any(|h| anchor(h) == heading))
            });
            if !there {
                broken.push(format!("{}: {target}", page.name()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_summary_lists_every_page_of_the_book() {
    let listed: BTreeSet<String> = targets(&book("SUMMARY.md")).into_iter().collect();
    let there = guide().into_iter().skip(1).map(|page| page.path.file_name().unwrap().to_str().unwrap().to_owned());
    let there: BTreeSet<String> = there.filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}
