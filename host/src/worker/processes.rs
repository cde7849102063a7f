//! The processes of the system, as far as it tells (Linux: proc(5)).

/// A process.
pub(super) struct Process {
    pub id: u32,
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// It has ended, and its parent has not taken note.
    pub has_ended: bool,
}

/// All that are there; none where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn running() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| Process::read(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn running() -> Vec<Process> {
    Vec::new()
}

#[cfg(target_os = "linux")]
impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the program's name in brackets, and may hold blanks; state, parent and group follow.
        let mut fields = stat.rsplit(')').next()?.split_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { id, parent, group, has_ended })
    }

    /// Bytes in memory: the second field of `statm`, in pages.
    pub fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.id)).unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        pages * rustix::param::page_size() as u64
    }
}

#[cfg(not(target_os = "linux"))]
impl Process {
    pub fn resident(&self) -> u64 {
        0
    }
}
