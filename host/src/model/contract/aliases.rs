//! Names that other programs give to inputs and outputs of the contract.

/// Names of inputs, in lower case.
const INPUTS: [(&str, &[&str]); 9] = [
    (
        "atomic_numbers",
        &["z", "numbers", "atomic_number", "species", "atom_types", "node_types", "atomic_nums", "elements"],
    ),
    ("positions", &["pos", "r", "coords", "coordinates", "xyz", "cart_coords", "coord"]),
    ("cell", &["lattice", "cells", "box", "lattices", "lattice_vectors", "cell_vectors", "lat"]),
    ("batch", &["system_idx", "batch_idx", "batch_index", "idx_m", "atom_batch", "node_batch", "graph_index"]),
    ("edge_index", &["edges", "edge_indices", "neighbor_list", "neighbour_list", "neighbors", "nbr_list", "edge_idx"]),
    (
        "edge_shift",
        &["shifts", "unit_shifts", "edge_cell_shift", "cell_shifts", "cell_offsets", "edge_shifts", "images"],
    ),
    ("edge_reverse", &["edge_transpose_perm", "reverse_edge", "reverse", "rev_edge_index", "edge_rev"]),
    ("triplet_index", &["triplets", "line_graph", "angle_index", "three_body_indices", "triplet_idx", "angles"]),
    ("state", &["head", "fidelity", "state_attr", "task", "heads", "dataset"]),
];

/// Names of energies, forces and stress, in lower case.
const OUTPUTS: [(&str, &[&str]); 3] = [
    ("energy", &["e", "energies", "total_energy", "potential_energy", "etot", "e_total", "pot_energy"]),
    ("forces", &["f", "force"]),
    ("stress", &["stresses", "sigma"]),
];

/// The input of the contract that other programs call `name`.
pub(super) fn input(name: &str) -> Option<&'static str> {
    find(&INPUTS, name)
}

/// The output of the contract that other programs call `name`.
pub(super) fn output(name: &str) -> Option<&'static str> {
    find(&OUTPUTS, name)
}

fn find(table: &[(&'static str, &[&str])], name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    table.iter().find(|(_, aliases)| aliases.contains(&name.as_str())).map(|(known, _)| *known)
}
