//! Documents from a timeline.
