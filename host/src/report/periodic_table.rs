//! Where the elements stand in the periodic table.

use crate::crystal::Element;

/// Atomic numbers that end the periods.
const ENDS: [u8; 8] = [0, 2, 10, 18, 36, 54, 86, 118];

/// Period of an element, from 1.
pub fn period(element: Element) -> usize {
    (1..ENDS.len()).find(|period| element.number() <= ENDS[*period]).unwrap_or(ENDS.len() - 1)
}

/// Column and row in the long table whose f block stands below, both from 0.
pub fn place(element: Element) -> [f64; 2] {
    let period = period(element);
    let index = element.number() - ENDS[period - 1] - 1;
    let length = ENDS[period] - ENDS[period - 1];
    let row = (period - 1) as f64;
    match (length, index) {
        (2, index) => [f64::from(index) * 17.0, row],
        (8, index) if index >= 2 => [f64::from(index + 10), row],
        (32, index @ 2..=15) => [f64::from(index), row + 2.5],
        (32, index) if index >= 16 => [f64::from(index - 14), row],
        (_, index) => [f64::from(index), row],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_where_iupac_puts_them() {
        let at = |symbol: &str| place(Element::from_symbol(symbol).unwrap());
        for (symbol, group, row) in [
            ("H", 1, 1.0),
            ("He", 18, 1.0),
            ("Li", 1, 2.0),
            ("B", 13, 2.0),
            ("Cl", 17, 3.0),
            ("Sc", 3, 4.0),
            ("Kr", 18, 4.0),
            ("Ag", 11, 5.0),
            ("Ba", 2, 6.0),
            ("Lu", 3, 6.0),
            ("Hf", 4, 6.0),
            ("Rn", 18, 6.0),
            ("Og", 18, 7.0),
            // The f block, below.
            ("La", 3, 8.5),
            ("Yb", 16, 8.5),
            ("U", 6, 9.5),
        ] {
            assert_eq!(at(symbol), [f64::from(group - 1), row - 1.0], "{symbol}");
        }
        let all: Vec<[f64; 2]> = (1..=118).map(|z| place(Element::from_number(z).unwrap())).collect();
        assert!(all.iter().enumerate().all(|(i, place)| !all[..i].contains(place)), "no two in one place");
    }
}
