//! The macro behind every params type: by name, unknown fields refused, and the two selectors that every
//! method accepts.

/// Declares the params of one method. Each gets the optional `directory` and `projectID` selectors.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// An absolute path (a leading `~` expands) that says which project and checkout is meant;
            /// default: the session's own directory, else the connection's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub directory: Option<String>,
            /// The project that the directory or session must belong to; another one answers `not_found`.
            #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
            pub project_id: Option<crate::id::ProjectId>,
        }

        impl crate::method::Selects for $name {
            fn directory(&self) -> Option<&str> {
                self.directory.as_deref()
            }
            fn project_id(&self) -> Option<&crate::id::ProjectId> {
                self.project_id.as_ref()
            }
        }
    };
}
