//! HTML and SVG, as far as a test has to read them.

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "link", "br", "hr"];

/// Every element is ended, in the right order, and every text is escaped.
pub fn assert_well_formed(text: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        let is_style = open.last().is_some_and(|name| name == "style");
        assert!(is_style || !before.contains('>'), "`>` in a text: {before}");
        assert_escaped(before, is_style);
        let (tag, after) = tag.split_once('>').unwrap_or_else(|| panic!("`<` without an end: {tag:.80}"));
        rest = after;
        if tag.starts_with('!') {
            continue;
        }
        let name: String =
            tag.trim_start_matches('/').chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.is_empty(), "<{tag}>");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "the end of <{name}>");
        } else {
            assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
            assert_escaped(tag, false);
            if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?} have no end");
}

fn assert_escaped(text: &str, is_style: bool) {
    let whole = |rest: &str| {
        rest.split_once(';').is_some_and(|(entity, _)| {
            entity.len() <= 6 && entity.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
        })
    };
    let loose = text.split('&').skip(1).find(|rest| !whole(rest));
    assert!(is_style || loose.is_none(), "`&` in a text: {loose:?}");
}

/// The cells of all tables.
pub fn cells(page: &str) -> impl Iterator<Item = &str> {
    let cells = page.split("<th scope=\"").chain(page.split("<td>"));
    cells.filter_map(|cell| cell.split_once("</t")).map(|(cell, _)| cell.split_once('>').map_or(cell, |(_, text)| text))
}

/// The cells of the first row that has this name in one of its first two cells, without those up to it.
pub fn row(page: &str, name: &str) -> Vec<String> {
    let rows = page.split("<tr>").skip(1).map(|row| row.split("</tr>").next().unwrap());
    let text = |cell: &str| cell.rsplit_once('>').map_or(cell, |(_, text)| text).to_owned();
    let rows = rows.map(|row| row.split("</t").map(text).filter(|cell| !cell.is_empty()).collect::<Vec<_>>());
    for row in rows {
        if let Some(place) = row.iter().take(2).position(|cell| cell == name) {
            return row[place + 1..].to_vec();
        }
    }
    panic!("no row {name}");
}
