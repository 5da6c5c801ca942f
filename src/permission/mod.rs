//! May it. Rules say allow, ask or deny; nothing here touches a file or waits for anybody.

pub(crate) mod pattern;
pub(crate) mod rules;
