//! The two patrol forms.
