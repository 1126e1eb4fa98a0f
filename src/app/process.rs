//! What the operating system knows of this process, as it is under `/proc` on Linux; nothing elsewhere.

use std::fs;

/// What a process uses.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct ProcessUse {
    /// Seconds of processors, in the program and in the kernel.
    pub(super) cpu_seconds: Option<f64>,
    /// Bytes of memory that are there, not only promised.
    pub(super) resident_bytes: Option<u64>,
    /// Files and sockets that are open.
    pub(super) open_fds: Option<u64>,
    /// How many there may be.
    pub(super) max_fds: Option<u64>,
}

/// Linux tells times to programs in this unit on every architecture that Rust supports.
const TICKS_A_SECOND: f64 = 100.0;

impl ProcessUse {
    /// What is used now.
    pub(super) fn now() -> Self {
        let read = |name| fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self {
            cpu_seconds: read("stat").and_then(|stat| cpu_seconds_in(&stat)),
            resident_bytes: read("status").and_then(|status| resident_bytes_in(&status)),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            max_fds: read("limits").and_then(|limits| max_fds_in(&limits)),
        }
    }
}

/// The name of the program, in parentheses, may hold anything.
fn cpu_seconds_in(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS_A_SECOND)
}

fn resident_bytes_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// None where there is no limit.
fn max_fds_in(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 6 0 0 0 150 50 0 0 20 0 1 0 0 0 0";
        assert_eq!(cpu_seconds_in(stat), Some(2.0));
        assert_eq!(resident_bytes_in("VmPeak:\t 9 kB\nVmRSS:\t  1024 kB\n"), Some(1_048_576));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024      4096     files\n";
        assert_eq!(max_fds_in(limits), Some(1024));
        assert_eq!(max_fds_in("Max open files   unlimited  unlimited files"), None);
        for nonsense in ["", "1 (a", "VmRSS: many kB", "Max open files"] {
            assert_eq!(
                (cpu_seconds_in(nonsense), resident_bytes_in(nonsense), max_fds_in(nonsense)),
                (None, None, None)
            );
        }
    }
}
