//! A worker and all processes it has started: killed together, and their memory counted together.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// How often a worker's memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(50);

/// The process groups of all workers, by their leaders.
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A worker is there.
pub(super) fn register(leader: u32) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).insert(leader);
}

/// Kills a worker's group for good.
pub(super) fn end(leader: u32) {
    kill(leader);
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&leader);
}

/// Kills every worker at once, for a program that ends immediately.
pub fn end_all_workers() {
    let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    groups.iter().for_each(|group| kill(*group));
}

#[cfg(unix)]
pub(super) fn kill(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
pub(super) fn kill(_: u32) {}

/// Whether a process of the group is there.
#[cfg(unix)]
pub(super) fn has_members(leader: u32) -> bool {
    use rustix::process::{Pid, test_kill_process_group};
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    group.is_some_and(|group| test_kill_process_group(group).is_ok())
}

#[cfg(not(unix))]
pub(super) fn has_members(_: u32) -> bool {
    false
}

/// Ends when the processes of a group have more memory than their limit: what they have, and the limit.
pub(super) async fn too_much_memory(group: u32, limit: Option<u64>) -> (u64, u64) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        sleep(MEMORY_EVERY).await;
        if let Some(used) = resident(group).filter(|used| *used > limit) {
            return (used, limit);
        }
    }
}

/// Whether this system tells how much memory a process has.
pub const MEMORY_IS_MEASURED: bool = cfg!(target_os = "linux");

/// Bytes in memory of all processes of a group, where the system tells: the leader may be a script that starts the worker.
#[cfg(target_os = "linux")]
pub(super) fn resident(group: u32) -> Option<u64> {
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pages: u64 = processes.filter_map(|process| pages_in_group(&process, group)).sum();
    Some(pages * rustix::param::page_size() as u64)
}

/// Pages of a process in memory, if it is of the group (proc(5): the fifth field of `stat`, the second of `statm`).
#[cfg(target_os = "linux")]
fn pages_in_group(process: &str, group: u32) -> Option<u64> {
    process.parse::<u32>().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold blanks.
    let of: u32 = stat.rsplit(')').next()?.split_whitespace().nth(2)?.parse().ok()?;
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).ok().filter(|_| of == group)?;
    statm.split(' ').nth(1)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn resident(_: u32) -> Option<u64> {
    None
}
