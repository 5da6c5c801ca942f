//! How much memory processes have, where the system tells.

/// The memory of this process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// What it has.
    pub resident: Option<u64>,
    /// The same, with what others share counted in part.
    pub proportional: Option<u64>,
    /// The most it has had.
    pub peak: Option<u64>,
    /// What of it was moved to the disk.
    pub swapped: Option<u64>,
}

/// More processes than this of one program are not looked at.
#[cfg(target_os = "linux")]
const MAX_PROCESSES: usize = 128;

/// The memory of this process. Reads files of the system: a millisecond or two.
#[cfg(target_os = "linux")]
pub fn own() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    Memory {
        resident: kilobytes(&status, "VmRSS:"),
        proportional: kilobytes(&rollup, "Pss:"),
        peak: kilobytes(&status, "VmHWM:"),
        swapped: kilobytes(&status, "VmSwap:"),
    }
}

/// The memory of this process.
#[cfg(not(target_os = "linux"))]
pub fn own() -> Memory {
    Memory::default()
}

/// The memory that this process has for itself alone, in bytes, where the system tells. Quicker than [`own`].
#[cfg(target_os = "linux")]
pub fn anonymous() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

/// The memory that this process has for itself alone.
#[cfg(not(target_os = "linux"))]
pub fn anonymous() -> Option<u64> {
    None
}

/// Gives back the memory in which the program's code stands; what runs next is read again from its file, which the
/// system holds anyway. For a process that has done most of what its program can and from now on does a little.
#[cfg(target_os = "linux")]
pub fn forget_code() {
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines().filter(|line| line.contains(" r-xp ") && line.ends_with(&*program.to_string_lossy())) {
        let bounds = line.split(' ').next().and_then(|range| range.split_once('-'));
        let Some((Ok(start), Ok(end))) = bounds.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)))
        else {
            continue;
        };
        #[expect(unsafe_code, reason = "the system wants an address")]
        // SAFETY: the range is a mapping of this program's file that can be read and run and was never written, so what is
        // dropped comes back from the file as it was.
        let _ =
            unsafe { rustix::mm::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// Nothing is known to be gained.
#[cfg(not(target_os = "linux"))]
pub fn forget_code() {}

/// Has the allocator take large blocks from the system one by one and give each back as soon as it is freed. Left alone,
/// it raises the size from which on it does so with each large block that is freed, up to 32 MiB, and then keeps what a
/// single large message has taken.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator is one of C")]
pub fn keep_little() {
    use std::ffi::c_int;
    const TRIM_THRESHOLD: c_int = -1;
    const MMAP_THRESHOLD: c_int = -3;
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    // SAFETY: the function is the allocator's own, takes two numbers, and may be called at any time. A parameter that it
    // does not know changes nothing.
    unsafe {
        mallopt(MMAP_THRESHOLD, 256 * 1024);
        mallopt(TRIM_THRESHOLD, 512 * 1024);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_little() {}

/// Gives the system back what was freed: after work that has taken much for a moment, the allocator would keep it.
/// Takes a few milliseconds for each hundred megabytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator is one of C")]
pub fn give_back() {
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: the function is the allocator's own, takes a number, and may be called at any time from any thread.
    let _ = unsafe { malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

/// How many processes a process and all that it has started are, and what they have together in bytes.
#[cfg(target_os = "linux")]
pub fn of_tree(pid: u32) -> Option<(u64, u64)> {
    let (mut next, mut seen) = (vec![pid], 0);
    let (mut processes, mut bytes) = (0, 0);
    while let Some(pid) = next.pop()
        && seen < MAX_PROCESSES
    {
        seen += 1;
        // One that has ended meanwhile is no longer worth counting.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        processes += 1;
        bytes += kilobytes(&status, "VmRSS:").unwrap_or(0);
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    (processes > 0).then_some((processes, bytes))
}

/// How many processes a process and all that it has started are, and what they have together in bytes.
#[cfg(not(target_os = "linux"))]
pub fn of_tree(_: u32) -> Option<(u64, u64)> {
    None
}

#[cfg(any(target_os = "linux", test))]
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let text = "VmPeak:\t  100 kB\nVmHWM:\t    12 kB\nVmRSS:\t   7 kB\nName:\tx\n";
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "VmHWM:")), (Some(7168), Some(12288)));
        assert_eq!((kilobytes(text, "VmSwap:"), kilobytes(text, "Name:")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let memory = own();
        assert!(memory.resident.unwrap() > 1 << 20 && memory.peak >= memory.resident, "{memory:?}");
        let (processes, bytes) = of_tree(std::process::id()).unwrap();
        assert!(processes >= 1 && bytes > 1 << 20);
        assert_eq!(of_tree(u32::MAX), None);
    }
}
