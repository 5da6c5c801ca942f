//! What root may do beside files: nothing. Others have no capabilities to give up but those in their own namespaces.

use std::io;

use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities,
    },
};

use crate::sandbox::spec::Spec;

/// Gives up all capabilities but those that files need.
pub fn drop_all(spec: &Spec) -> io::Result<()> {
    let mut kept = CapabilitySet::DAC_OVERRIDE;
    if spec.attributes {
        kept |= CapabilitySet::CHOWN | CapabilitySet::FOWNER | CapabilitySet::FSETID;
    }
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match capability_is_in_bounding_set(capability) {
            Ok(true) => {}
            Ok(false) => continue,
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
        match remove_capability_from_bounding_set(capability) {
            // Who is not root and has none gains none either: no program that is started gives any.
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => break,
            other => other?,
        }
    }
    clear_ambient_capability_set()?;
    let had = rustix::thread::capabilities(None)?;
    let left = had.permitted & kept;
    Ok(set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() })?)
}
