//! How many one-time codes of an account may be wrong in one day (北京时间). A code is six digits and three are right at a
//! time: without an end, patience would find one. Kept in the database, so that a restart forgives nothing.

/// Wrong codes of a day after which strangers' are not taken any more, right or wrong.
pub const STRANGERS_MAX: u32 = 10;
/// Wrong codes of a day after which nobody's are.
pub const ALL_MAX: u32 = 20;

/// How the code of a right password was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is the code of this moment, and was not used before.
    Right,
    /// It is not, and is counted.
    Wrong {
        /// It was the one that shut strangers out.
        locks: bool,
    },
    /// Too many were wrong today; it was not looked at.
    Locked,
}
