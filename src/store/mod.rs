//! All SQL, for both engines.
