//! Where a position lies.
