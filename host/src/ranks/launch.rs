//! How this process was started: by itself, or as one of several tasks.

/// How many tasks the launcher has started, this one among them; `None` without a launcher. A batch script of SLURM is one process
/// however many tasks its job has room for; a step, which srun starts, is as many as it says.
pub fn tasks() -> Option<usize> {
    tasks_of(|name| std::env::var(name).ok())
}

fn tasks_of(variable: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let number = |name: &str| variable(name)?.trim().parse().ok();
    // Open MPI, then MPICH and its kin.
    let launched = number("OMPI_COMM_WORLD_SIZE").or_else(|| number("PMI_SIZE"));
    let step =
        || variable("SLURM_STEP_ID").and_then(|_| number("SLURM_STEP_NUM_TASKS").or_else(|| number("SLURM_NTASKS")));
    launched.or_else(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_recognised_and_batch_scripts_are_not() {
        let tasks = |set: &[(&str, &str)]| {
            tasks_of(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(tasks(&[]), None);
        assert_eq!(tasks(&[("OMPI_COMM_WORLD_SIZE", "4"), ("SLURM_STEP_ID", "0"), ("SLURM_NTASKS", "2")]), Some(4));
        assert_eq!(tasks(&[("PMI_SIZE", "3")]), Some(3));
        assert_eq!(tasks(&[("SLURM_STEP_ID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_PROCID", "2")]), Some(8));
        assert_eq!(tasks(&[("SLURM_STEP_ID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_STEP_NUM_TASKS", "2")]), Some(2));
        assert_eq!(tasks(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), None);
        assert_eq!(tasks(&[("OMPI_COMM_WORLD_SIZE", "many")]), None);
    }
}
