//! Loading and checking the place.
