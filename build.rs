//! How the executable is linked.

#[expect(clippy::disallowed_macros, reason = "cargo reads what a build script prints")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // At an address that is known when it is linked: else some 60,000 pointers are adjusted whenever it starts, which costs
    // 0.8 ms of each command that the sandbox's helper, the same executable, starts, and as much of each start. Libraries,
    // the heap and stacks are still at random addresses.
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
