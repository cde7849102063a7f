//! Tokens as JSON: how `temper sample` and runs write them beside a structure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Element, Site, SpaceGroup, Tokens};

/// Tokens as they are stored.
#[derive(Serialize, Deserialize)]
pub struct StoredTokens {
    lattice: [f64; 6],
    sites: Vec<StoredSite>,
    spacegroup: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredSite {
    a: String,
    w: u8,
    xyz: [f64; 3],
}

impl From<&Tokens> for StoredTokens {
    fn from(tokens: &Tokens) -> Self {
        let site = |s: &Site| StoredSite { a: s.species.symbol().to_owned(), w: s.wyckoff, xyz: s.coord };
        let sites = tokens.sites.iter().map(site).collect();
        Self { lattice: tokens.lattice, sites, spacegroup: tokens.group.number().into() }
    }
}

impl StoredTokens {
    /// The tokens, if group, letters and elements exist.
    pub fn tokens(&self) -> Option<Tokens> {
        let site = |StoredSite { w, a, xyz }: &StoredSite| {
            let wyckoff = Some(*w).filter(|index| (1..=27).contains(index))?;
            Some(Site { wyckoff, species: Element::from_symbol(a)?, coord: *xyz })
        };
        let sites: Vec<Site> = self.sites.iter().map(site).collect::<Option<_>>()?;
        Some(Tokens { group: SpaceGroup::new(self.spacegroup).ok()?, lattice: self.lattice, sites })
    }
}

/// Tokens as JSON: space group, lattice (lengths / atoms^(1/3) in angstrom, angles in radians), sites.
pub fn tokens_json(tokens: &Tokens) -> Value {
    json!(StoredTokens::from(tokens))
}

/// What [`tokens_json`] made JSON of; `None` if it is anything else. Whether the sites go together is for [`Tokens::check`] to say.
pub fn tokens_from_json(json: &Value) -> Option<Tokens> {
    StoredTokens::deserialize(json).ok()?.tokens()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let site = Site { wyckoff: 27, species: Element::from_number(11).unwrap(), coord: [0.1, 1.0 / 3.0, 0.0] };
        let group = SpaceGroup::new(47).unwrap();
        let tokens = Tokens { group, lattice: [2.0, 2.1, 2.2, 1.5, 1.6, 1.7], sites: vec![site, site] };
        let json = tokens_json(&tokens);
        assert_eq!(tokens_from_json(&json), Some(tokens));
        for (key, value) in [
            ("spacegroup", json!(231)),
            ("lattice", json!([1.0])),
            ("lattice", json!([1, 1, 1, 1, 1, null])),
            ("sites", json!([{"w": 28, "a": "Na", "xyz": [0, 0, 0]}])),
            ("sites", json!([{"w": 0, "a": "Na", "xyz": [0, 0, 0]}])),
            ("sites", json!([{"w": 1, "a": "Xx", "xyz": [0, 0, 0]}])),
            ("sites", json!("x")),
        ] {
            let mut other = json.clone();
            other[key] = value;
            assert_eq!(tokens_from_json(&other), None, "{other}");
        }
        assert_eq!(tokens_from_json(&Value::Null), None);
    }
}
