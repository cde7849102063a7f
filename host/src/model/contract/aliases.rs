//! Names that other programs give to inputs and outputs of the contract.

/// Names of inputs, in lower case and without underscores around them. A name may stand in several rows: programs mean different
/// things by it.
const INPUTS: [(&str, &[&str]); 20] = [
    ("atomic_numbers", &["z", "numbers", "atomic_number", "atomic_nums", "atomic_num"]),
    ("atomic_numbers", SPECIES),
    ("species_index", SPECIES),
    ("species_one_hot", &["node_attrs", "one_hot", "species_onehot", "onehot"]),
    ("positions", &["pos", "r", "coords", "coordinates", "xyz", "cart_coords", "coord", "node_positions"]),
    ("cell", &["lattice", "cells", "box", "lattices", "lattice_vectors", "cell_vectors", "lat"]),
    ("pbc", &["periodic"]),
    ("batch", &["system_idx", "batch_idx", "batch_index", "idx_m", "atom_batch", "node_batch", "graph_index"]),
    ("n_atoms", &["natoms", "num_atoms", "n_node", "num_nodes", "nat", "n_nodes"]),
    ("first_atom", &["ptr"]),
    ("n_edges", &["n_edge", "num_edges", "nedges", "neighbors"]),
    ("edge_index", &["edges", "edge_indices", "neighbor_list", "neighbour_list", "neighbors", "nbr_list", "edge_idx"]),
    ("edge_centre", &["idx_i", "edge_center", "senders", "edge_src", "src", "source", "i"]),
    ("edge_neighbour", &["idx_j", "edge_neighbor", "receivers", "edge_dst", "dst", "target", "j"]),
    (
        "edge_shift",
        &["unit_shifts", "edge_cell_shift", "cell_shifts", "cell_offsets", "edge_shifts", "images", "pbc_offset"],
    ),
    ("edge_shift_cartesian", &["shifts", "offsets", "offset", "shift_vectors", "pbc_offshift"]),
    (
        "edge_vector",
        &[
            "rij",
            "r_ij",
            "edge_vec",
            "edge_vecs",
            "edge_vectors",
            "vectors",
            "bond_vec",
            "bond_vectors",
            "distance_vec",
        ],
    ),
    (
        "edge_length",
        &["edge_lengths", "distances", "edge_distance", "edge_weight", "bond_dist", "d_ij", "dist", "edge_dist"],
    ),
    ("edge_reverse", &["edge_transpose_perm", "reverse_edge", "reverse", "rev_edge_index", "edge_rev", "id_swap"]),
    ("triplet_index", &["triplets", "line_graph", "angle_index", "three_body_indices", "triplet_idx", "angles"]),
];

/// By these some mean atomic numbers, and others places in a list of elements.
const SPECIES: &[&str] = &["species", "atom_types", "node_types", "elements", "atom_type", "node_type", "types"];

/// Names of states.
const STATES: &[&str] = &["head", "fidelity", "state_attr", "task", "heads", "dataset"];

/// Names of the charge of a crystal, which is none.
const CHARGES: &[&str] = &["charge", "total_charge", "charges", "q", "tot_charge"];

/// Names of a spin or its multiplicity, whose values programs count differently.
const SPINS: &[&str] = &["spin", "total_spin", "multiplicity", "mult", "spin_multiplicity", "total_magmom"];

/// Inputs whose meaning their name settles. Of the others, programs have different notions by the same name (the sign and the unit
/// of shifts, the direction of an edge), so only a trial tells.
const SETTLED: [&str; 11] = [
    "atomic_numbers",
    "species_one_hot",
    "positions",
    "cell",
    "pbc",
    "batch",
    "n_atoms",
    "first_atom",
    "n_edges",
    "edge_index",
    "state",
];

/// Names of energies, forces and stress, in lower case.
const OUTPUTS: [(&str, &[&str]); 3] = [
    ("energy", &["e", "energies", "total_energy", "potential_energy", "etot", "e_total", "pot_energy"]),
    ("forces", &["f", "force"]),
    ("stress", &["stresses", "sigma"]),
];

/// The inputs of the contract that other programs call `name`; one of the contract's own names means itself.
pub(super) fn inputs(name: &str, contract: &[&'static str]) -> Vec<&'static str> {
    let name = plain(name);
    if let Some(own) = contract.iter().find(|own| **own == name) {
        return vec![*own];
    }
    let mut found: Vec<&str> =
        INPUTS.iter().filter(|(_, aliases)| aliases.contains(&name.as_str())).map(|(known, _)| *known).collect();
    found.extend(STATES.contains(&name.as_str()).then_some("state"));
    found
}

/// The input that a name means in all programs, of those that it may be.
pub(super) fn settled(meanings: &[&'static str]) -> Option<&'static str> {
    match meanings {
        [only] if SETTLED.contains(only) => Some(only),
        _ => None,
    }
}

/// Whether an input of this name is a spin.
pub(super) fn is_spin(name: &str) -> bool {
    SPINS.contains(&plain(name).as_str())
}

/// Whether an input of this name is the charge of a crystal.
pub(super) fn is_charge(name: &str) -> bool {
    CHARGES.contains(&plain(name).as_str())
}

/// The output of the contract that other programs call `name`.
pub(super) fn output(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    OUTPUTS.iter().find(|(_, aliases)| aliases.contains(&name.as_str())).map(|(known, _)| *known)
}

/// A name in lower case, with an underscore for what is neither letter nor digit, and none around it.
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.to_lowercase().chars().map(letter).collect::<String>().trim_matches('_').to_owned()
}
