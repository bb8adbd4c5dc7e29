//! Tiles: the tree as files of 256 hashes, and the entries in bundles of 256 (C2SP tlog-tiles,
//! <https://c2sp.org/tlog-tiles>).
//!
//! A tile of level L holds the roots of consecutive full subtrees of 256^L leaves. The tile with the tree's newest
//! hashes is partial: it has fewer than 256, and grows.

use std::fmt;
use std::str::FromStr;

use super::merkle::{Hash, node_hash};
use crate::error::{Error, Result};

/// Hashes of a full tile, entries of a full bundle.
pub const WIDTH: u16 = 256;
/// Height of the subtree that a full tile spans.
pub const HEIGHT: u8 = 8;
/// Levels that a tree of up to 2^63 leaves can have.
pub const LEVELS: u8 = 8;
/// The largest level that the address of a tile may name.
const LEVEL_MAX: u8 = 63;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Hashes of this level; level 0 are the leaf hashes.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// A tile by its place and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// Hashes or entries.
    pub content: Content,
    /// Its number in the level, from 0.
    pub n: u64,
    /// Hashes or entries in it, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The `n`-th tile of this content in a tree of `size` leaves; `None` where it would be empty.
    #[must_use]
    pub fn in_tree(content: Content, n: u64, size: u64) -> Option<Self> {
        let before = n.checked_mul(u64::from(WIDTH))?;
        let hashes = hashes(content, size).checked_sub(before)?;
        let width = u16::try_from(hashes.min(u64::from(WIDTH))).ok().filter(|w| *w > 0)?;
        Some(Self { content, n, width })
    }

    /// It is part of a tree of `size` leaves, whole or as the beginning of a wider one.
    #[must_use]
    pub fn is_in_tree(&self, size: u64) -> bool {
        Self::in_tree(self.content, self.n, size).is_some_and(|t| t.width >= self.width)
    }

    /// Has all 256: it never changes again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == WIDTH
    }
}

/// Hashes of this content in all tiles of a tree of `size` leaves.
pub(super) fn hashes(content: Content, size: u64) -> u64 {
    match content {
        Content::Entries => size,
        Content::Hashes(level) => size.checked_shr(u32::from(HEIGHT) * u32::from(level)).unwrap_or(0),
    }
}

/// The hash tiles of a tree of `to` leaves that are not the same in the tree of its first `from`: new ones, and
/// partial ones that have grown. From 0: all.
pub fn changed(from: u64, to: u64) -> impl Iterator<Item = Tile> {
    (0..LEVELS).map(Content::Hashes).flat_map(move |content| changed_of(content, from, to))
}

/// The same for the entry bundles.
pub fn changed_bundles(from: u64, to: u64) -> impl Iterator<Item = Tile> {
    changed_of(Content::Entries, from, to)
}

fn changed_of(content: Content, from: u64, to: u64) -> impl Iterator<Item = Tile> {
    let (old, new) = (hashes(content, from), hashes(content, to));
    let first = if new > old { old } else { new.next_multiple_of(u64::from(WIDTH)) };
    let tiles = first / u64::from(WIDTH)..new.div_ceil(u64::from(WIDTH));
    tiles.filter_map(move |n| Tile::in_tree(content, n, to))
}

impl fmt::Display for Tile {
    /// `tile/0/x001/x234/067.p/112`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Hashes(level) => write!(f, "tile/{level}/")?,
            Content::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.n % 1000];
        let mut rest = self.n / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups.iter().skip(1).rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", self.n % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = Error;

    /// Only what `Display` writes is taken, so that a tile has one address.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                "tile",
                format!(
                    "`{text}` is not the address of a tile; allowed: tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]"
                ),
            )
        };
        let read = || {
            let (content, rest) = text.strip_prefix("tile/")?.split_once('/')?;
            let content = match content {
                "entries" => Content::Entries,
                level => Content::Hashes(level.parse().ok().filter(|l| *l <= LEVEL_MAX)?),
            };
            let (n, width) = match rest.split_once(".p/") {
                Some((n, width)) => (n, width.parse().ok().filter(|w| (1..WIDTH).contains(w))?),
                None => (rest, WIDTH),
            };
            let digits = |group: &str| group.trim_start_matches('x').parse::<u64>().ok();
            let n =
                n.split('/').try_fold(0_u64, |n, group| n.checked_mul(1000)?.checked_add(digits(group)?))?;
            Some(Self { content, n, width })
        };
        read().filter(|tile| tile.to_string() == text).ok_or_else(wrong)
    }
}

/// The level and number of the hash tile from which the root of the full subtree (`level`, `index`) is made
/// (`level` as in `evidence::proof`: that of the subtree, 0 a leaf).
#[must_use]
pub fn tile_of(level: u8, index: u64) -> (u8, u64) {
    (level / HEIGHT, index >> (HEIGHT - level % HEIGHT))
}

/// The root of the full subtree (`level`, `index`) from the hashes of its tile ([`tile_of`]); `None` if they do not
/// reach so far.
#[must_use]
pub fn subtree(hashes: &[Hash], level: u8, index: u64) -> Option<Hash> {
    let height = level % HEIGHT;
    let place = usize::try_from(index & ((1 << (HEIGHT - height)) - 1)).ok()?;
    let first = place << height;
    fold(hashes.get(first..first + (1 << height))?)
}

/// The root over 2^k hashes.
pub(super) fn fold(hashes: &[Hash]) -> Option<Hash> {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let (pairs, []) = level.as_chunks::<2>() else { return None };
        level = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied()
}

/// Appends an entry to a bundle: big-endian uint16 length, then the bytes.
///
/// # Errors
/// `Invalid` past 65,535 bytes.
pub fn write_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<()> {
    let length = u16::try_from(entry.len())
        .map_err(|_| Error::invalid("", format!("an entry of {} bytes; allowed: 65535", entry.len())))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle.
///
/// # Errors
/// `Invalid` if it breaks off or holds more than 256.
pub fn read_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let entry = rest
            .split_first_chunk::<2>()
            .and_then(|(length, after)| after.split_at_checked(u16::from_be_bytes(*length).into()));
        let (entry, after) = entry.ok_or_else(|| {
            Error::invalid("bundle", format!("breaks off in entry {} of it", entries.len()))
        })?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() > usize::from(WIDTH) {
        return Err(Error::invalid("bundle", format!("has {} entries; allowed: {WIDTH}", entries.len())));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<Tile> {
        text.parse()
    }

    #[test]
    fn addresses_read_back_and_have_one_spelling() {
        let hashes = |level, n, width| Tile { content: Content::Hashes(level), n, width };
        for (text, tile) in [
            ("tile/0/000", hashes(0, 0, 256)),
            ("tile/0/x001/x234/067", hashes(0, 1_234_067, 256)),
            ("tile/1/x001/000.p/17", hashes(1, 1_000, 17)),
            ("tile/63/999.p/255", hashes(63, 999, 255)),
            (
                "tile/entries/x018/x446/x744/x073/x709/x551/615",
                Tile { content: Content::Entries, n: u64::MAX, width: 256 },
            ),
        ] {
            assert_eq!(address(text).unwrap(), tile);
            assert_eq!(tile.to_string(), text);
        }
        for text in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/x001",
            "tile/0/001/000",
            "tile/0/x1/000",
            "tile/0/xx01/000",
            "tile/00/000",
            "tile/+1/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/+01",
            "tile/0/000/",
            "/tile/0/000",
            "tile/0/ 00",
            "tile/data/000",
            "tile/entries/000.p/1/",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
            "tile/0/０００",
        ] {
            address(text).unwrap_err();
        }
    }

    /// Theirs name the height too, and call bundles data.
    #[test]
    fn addresses_and_growth_agree_with_tlog_tiles() {
        for text in
            ["tile/0/000", "tile/0/x001/x234/067", "tile/1/x001/000.p/17", "tile/entries/x273/000.p/112"]
        {
            let long = text.replace("tile/", "tile/8/").replace("entries", "data");
            let theirs = tlog_tiles::Tile::from_path(&long).unwrap();
            let ours = address(text).unwrap();
            assert_eq!((theirs.level_index(), theirs.width()), (ours.n, ours.width.into()), "{text}");
        }
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..200 {
            let from = random.u64(0..200_000);
            let to = from + random.u64(0..3_000);
            let theirs = tlog_tiles::Tile::new_tiles(8, from, to);
            let theirs: Vec<String> = theirs.iter().map(|t| t.path().replace("tile/8/", "tile/")).collect();
            let ours: Vec<String> = changed(from, to).map(|t| t.to_string()).collect();
            assert_eq!(ours, theirs, "{from} to {to}");
        }
    }

    #[test]
    fn a_tree_of_70_000_is_the_one_of_the_specification() {
        let all: Vec<Tile> = changed(0, 70_000).collect();
        let of = |level| all.iter().filter(|t| t.content == Content::Hashes(level)).collect::<Vec<_>>();
        let widths = |level| of(level).iter().map(|t| t.width).filter(|w| *w < WIDTH).collect::<Vec<_>>();
        assert_eq!((of(0).len(), widths(0)), (274, vec![112]));
        assert_eq!((of(1).len(), widths(1)), (2, vec![17]));
        assert_eq!((of(2).len(), widths(2)), (1, vec![1]));
        assert_eq!(all.len(), 277);
        let small: Vec<String> = changed(0, 256).map(|t| t.to_string()).collect();
        assert_eq!(small, ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(
            changed_bundles(255, 257).map(|t| t.to_string()).collect::<Vec<_>>(),
            ["tile/entries/000", "tile/entries/001.p/1"]
        );
        assert_eq!(changed(300, 300).count(), 0);
        assert_eq!(changed_bundles(256, 256).count(), 0);
        let wide = address("tile/0/001.p/44").unwrap();
        assert!(wide.is_in_tree(300) && !wide.is_in_tree(299) && wide.is_in_tree(70_000));
        assert!(!address("tile/63/000.p/1").unwrap().is_in_tree(u64::MAX));
    }

    #[test]
    fn bundles_read_back_and_a_broken_one_is_refused() {
        let entries: Vec<Vec<u8>> = (0..256).map(|i| vec![i as u8; i * 7 % 300]).collect();
        let mut bundle = Vec::new();
        for entry in &entries {
            write_entry(&mut bundle, entry).unwrap();
        }
        assert_eq!(read_bundle(&bundle).unwrap(), entries);
        assert_eq!(read_bundle(&[]).unwrap(), [] as [&[u8]; 0]);
        read_bundle(&bundle[..bundle.len() - 1]).unwrap_err();
        read_bundle(&[&bundle[..], &[0]].concat()).unwrap_err();
        read_bundle(&[&bundle[..], &[0, 0]].concat()).unwrap_err();
        write_entry(&mut bundle, &[0; 65_535]).unwrap();
        write_entry(&mut bundle, &[0; 65_536]).unwrap_err();
    }
}
