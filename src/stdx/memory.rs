//! The memory of processes, where the operating system reports it.

use polytree_protocol::diagnose_machine::DiagnosisMemory;

/// How many processes of a tree are counted.
#[cfg(target_os = "linux")]
const MAX_PROCESSES: u64 = 128;

/// The memory of this process. Reads `/proc`, which takes a millisecond or two.
#[cfg(target_os = "linux")]
#[must_use]
pub fn own() -> DiagnosisMemory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    DiagnosisMemory {
        resident: kilobytes(&status, "VmRSS:"),
        proportional: kilobytes(&rollup, "Pss:"),
        peak: kilobytes(&status, "VmHWM:"),
        swapped: kilobytes(&status, "VmSwap:"),
        ..DiagnosisMemory::default()
    }
}

#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn own() -> DiagnosisMemory {
    DiagnosisMemory::default()
}

/// The anonymous memory of this process in bytes: what it does not share with other processes. Faster than [`own`].
#[cfg(target_os = "linux")]
pub fn anonymous() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

#[cfg(not(target_os = "linux"))]
pub fn anonymous() -> Option<u64> {
    None
}

/// Drops the pages of the program's code. What runs next is paged in again from the executable, which the page cache
/// holds anyway. For a process that has finished its start, and needs little of its code from now on.
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
        #[expect(unsafe_code, reason = "madvise takes an address")]
        // SAFETY: the range is a read-only, executable mapping of this program's file, so dropped pages are read again
        // from the file unchanged.
        let _ =
            unsafe { rustix::mm::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, rustix::mm::Advice::LinuxDontNeed) };
    }
}

#[cfg(not(target_os = "linux"))]
pub fn forget_code() {}

/// Makes the allocator map large blocks one by one and unmap each as soon as it is freed. By default glibc raises the
/// threshold for this with each large block that is freed, up to 32 MiB, and then keeps the memory of a single large
/// message.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc is called directly")]
pub fn limit_allocator() {
    use std::ffi::c_int;
    const TRIM_THRESHOLD: c_int = -1;
    const MMAP_THRESHOLD: c_int = -3;
    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    // SAFETY: mallopt takes two numbers and may be called at any time. It ignores parameters that it does not know.
    unsafe {
        mallopt(MMAP_THRESHOLD, 256 * 1024);
        mallopt(TRIM_THRESHOLD, 512 * 1024);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn limit_allocator() {}

/// Returns freed memory to the operating system; after a peak the allocator would keep it. Takes a few milliseconds for
/// each hundred megabytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc is called directly")]
pub fn give_back() {
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: malloc_trim takes a number and may be called at any time from any thread.
    let _ = unsafe { malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

/// The number of processes in the tree below a process, with itself, and their memory together in bytes.
#[cfg(target_os = "linux")]
pub fn of_tree(pid: u32) -> Option<(u64, u64)> {
    let mut next = vec![pid];
    let (mut processes, mut bytes) = (0, 0);
    while let Some(pid) = next.pop()
        && processes < MAX_PROCESSES
    {
        // It may have ended meanwhile.
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
    fn tables_of_the_kernel_are_parsed() {
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
