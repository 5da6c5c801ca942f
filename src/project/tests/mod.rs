pub(super) mod support;
