//! Everything that is written from the tables.
