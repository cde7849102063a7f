//! The ranks on the same node.

use super::Ranks;

/// This rank among those of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// Its place among them, from 0.
    pub place: usize,
    /// How many of them may use just the processor cores that it may use, itself included.
    pub on_these_cores: usize,
}

impl Neighbours {
    /// Asks all ranks where they are.
    pub fn find(ranks: Ranks) -> Self {
        among(&ranks.gather(vec![(node(), cores())]), ranks.rank())
    }
}

fn among(places: &[(String, String)], rank: usize) -> Neighbours {
    let Some((node, _)) = places.get(rank) else { return Neighbours { place: 0, on_these_cores: 1 } };
    Neighbours {
        place: places[..rank].iter().filter(|(other, _)| other == node).count(),
        on_these_cores: places.iter().filter(|place| **place == places[rank]).count(),
    }
}

fn node() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The cores that this process may use, as Linux lists them.
fn cores() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_unless_the_launcher_has_bound_the_ranks() {
        let at = |node: &str, cores: &str| (node.to_owned(), cores.to_owned());
        let places = [at("a", "0-3"), at("b", "0-3"), at("a", "0-3"), at("b", "4-7")];
        let found: Vec<(usize, usize)> = (0..4)
            .map(|rank| among(&places, rank))
            .map(|Neighbours { place, on_these_cores }| (place, on_these_cores))
            .collect();
        assert_eq!(found, [(0, 2), (0, 1), (1, 2), (1, 1)]);
    }
}
