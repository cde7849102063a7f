//! Elements as files spell them.

use super::super::Element;
use super::record::RowError;

/// The element of a symbol that may carry an oxidation state: `Fe`, `FE`, `Fe3+`, `O2-`, `D` for deuterium.
pub(super) fn from_symbol(text: &str) -> Result<Element, RowError> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (symbol, charge) = text.split_at(letters);
    if !charge.bytes().all(|c| matches!(c, b'0'..=b'9' | b'+' | b'-' | b'.')) {
        return Err(RowError::element(text));
    }
    from_letters(symbol).ok_or_else(|| RowError::element(text))
}

/// The element of a site's label: `Fe1`, `O1A`, `OW2`. Capitals that could be read in two ways are refused.
pub(super) fn from_label(text: &str) -> Result<Element, RowError> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let short = text.get(..1).and_then(from_letters);
    let long = if letters >= 2 { text.get(..2).and_then(from_letters) } else { None };
    let second_is_lower = text.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
    match (long, short) {
        (Some(element), _) if second_is_lower => Ok(element),
        (Some(one), Some(other)) => Err(RowError::Element {
            found: format!("{text:?}: it can be {one} or {other}; give _atom_site_type_symbol"),
        }),
        (Some(element), None) | (None, Some(element)) => Ok(element),
        (None, None) => Err(RowError::element(text)),
    }
}

/// The element of an atomic number.
pub(super) fn from_number(text: &str) -> Result<Element, RowError> {
    text.parse().ok().and_then(Element::from_number).ok_or_else(|| RowError::element(text))
}

fn from_letters(letters: &str) -> Option<Element> {
    let mut symbol = letters.to_ascii_lowercase();
    symbol.get_mut(..1)?.make_ascii_uppercase();
    match symbol.as_str() {
        "D" | "T" => Element::from_symbol("H"),
        symbol => Element::from_symbol(symbol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_with_charges() {
        for (text, symbol) in [("Fe", "Fe"), ("FE", "Fe"), ("Fe3+", "Fe"), ("O2-", "O"), ("Cl-1", "Cl"), ("D", "H")] {
            assert_eq!(from_symbol(text).unwrap().symbol(), symbol);
        }
        for text in ["", "Xx", "3+", "Fe_pv", "Feo", "\u{e9}", "F\u{e9}"] {
            assert!(from_symbol(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels() {
        for (text, symbol) in [("Fe1", "Fe"), ("O1A", "O"), ("OW2", "O"), ("Na", "Na"), ("ZR1", "Zr"), ("O", "O")] {
            assert_eq!(from_label(text).unwrap().symbol(), symbol);
        }
        let error = from_label("CA1").unwrap_err().to_string();
        assert_eq!(error, "unknown element \"CA1\": it can be Ca or C; give _atom_site_type_symbol");
        for text in ["", "1", "Q1", "\u{e9}"] {
            assert!(from_label(text).is_err(), "{text}");
        }
    }
}
