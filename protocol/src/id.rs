//! Identifiers: a prefix, an underscore and a ULID. Newtypes, so that one kind is never taken for another.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
    /// What was given.
    pub given: String,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: String = self.given.chars().take(60).collect();
        write!(f, "invalid id {given:?}, expected {}_ and a ULID (26 characters of 0-9 and A-Z without I, L, O, U)", self.prefix)
    }
}

impl std::error::Error for InvalidId {}

/// Whether a text is an identifier with this prefix. One id has one spelling, so that it can be a key: no lower case, no
/// look-alikes, no numbers that overflow.
fn is_valid(prefix: &str, text: &str) -> bool {
    let Some(ulid) = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')) else { return false };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z');
    ulid.len() == 26 && ulid.as_bytes()[0] <= b'7' && ulid.as_bytes().iter().all(is_digit)
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident $prefix:literal;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
            #[serde(transparent)]
            pub struct $name(String);

            impl $name {
                /// The prefix on the wire, without the underscore.
                pub const PREFIX: &'static str = $prefix;

                /// Takes the given ULID text.
                #[must_use]
                pub fn from_ulid(ulid: ulid::Ulid) -> Self {
                    Self(format!("{}_{ulid}", $prefix))
                }

                /// Checks a text that came from outside.
                ///
                /// # Errors
                /// When prefix or ULID are malformed.
                pub fn parse(text: &str) -> Result<Self, InvalidId> {
                    Self::checked(text.to_owned())
                }

                fn checked(text: String) -> Result<Self, InvalidId> {
                    if is_valid($prefix, &text) { Ok(Self(text)) } else { Err(InvalidId { prefix: $prefix, given: text }) }
                }

                /// The text on the wire.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl Default for $name {
                /// The nil id; only so that params types have a default.
                fn default() -> Self {
                    Self::from_ulid(ulid::Ulid::nil())
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    Self::checked(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
                }
            }

            impl JsonSchema for $name {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    schemars::json_schema!({
                        "type": "string",
                        "description": concat!($($doc),*).trim_ascii(),
                        "pattern": concat!("^", $prefix, "_[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
                    })
                }
            }
        )*
    };
}

ids! {
    /// A project.
    ProjectId "prj";
    /// A session.
    SessionId "ses";
    /// A message.
    MessageId "msg";
    /// A part of a message.
    PartId "prt";
    /// A hunk of what a session changed.
    HunkId "hnk";
    /// A permission question.
    PermissionId "per";
    /// A question of the model to the user.
    QuestionId "que";
    /// A remembered permission.
    GrantId "grt";
    /// An edit that an editor is asked to make.
    EditId "edt";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_its_own_prefix_and_a_canonical_ulid() {
        let good = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(SessionId::parse(good).unwrap().as_str(), good);
        for bad in [
            "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ses_01arz3ndektsv4rrffq69g5fav",
            "ses_",
            "ses_../../etc/passwd",
            "ses_81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ses_O1ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ses_01ARZ3NDEKTSV4RRFFQ69G5FAI",
            "ses_01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "ses_01ARZ3NDEKTSV4RRFFQ69G5FA",
            "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV0",
            "ses01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "",
        ] {
            assert!(SessionId::parse(bad).is_err(), "{bad}");
        }
    }
}
