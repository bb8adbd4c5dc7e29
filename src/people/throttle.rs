//! How often a secret may be tried: once a second for an account, whoever asks; and for each source longer and longer
//! after every failure. Whoever has signed in from a browser before has a place reserved there: no flood of guesses shuts
//! an honest person out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between two tries of one account.
const TURN: Duration = Duration::from_secs(1);
/// Failures of a source that cost nothing: slips of a finger.
const SLIPS: u32 = 3;
/// The wait after the first failure that costs; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait of a source.
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// A source without failures for so long is forgotten.
const FORGET: Duration = Duration::from_secs(86_400);
/// The longest a known browser waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries kept; beyond, those that hold nobody up are dropped.
const KEEP: usize = 20_000;

/// What the document of signing in tells.
#[cfg(test)]
pub(super) const NUMBERS: (Duration, u32, Duration, Duration, Duration) =
    (TURN, SLIPS, FIRST_WAIT, LONGEST_WAIT, PATIENCE);

/// Where a try comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address on the network; of IPv6 the /64 that one household has.
    Address(IpAddr),
    /// A browser in which this account has signed in before, or a phone that was enrolled; by its id.
    Known(String),
}

impl Source {
    /// An unknown browser at `address`.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The tries of late. Kept in memory: a restart takes longer than the second it forgives.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the next try of an account may be made.
    turns: HashMap<String, Instant>,
    failures: HashMap<(Source, Option<String>), Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

impl Throttle {
    /// Whether the try may be made now: after so long a wait, which is zero for all but known browsers.
    ///
    /// # Errors
    /// How long to stay away.
    pub fn admit(&mut self, account: &str, source: &Source, now: Instant) -> Result<Duration, Duration> {
        self.tidy(now);
        let key = key(account, source);
        if let Some(until) = self.failures.get(&key).map(|f| f.until).filter(|until| *until > now) {
            return Err(until - now);
        }
        let turn = self.turns.get(account).copied().unwrap_or(now).max(now);
        let wait = turn - now;
        let patience = if matches!(source, Source::Known(_)) { PATIENCE } else { Duration::ZERO };
        if wait > patience {
            return Err(wait);
        }
        self.turns.insert(account.to_owned(), turn + TURN);
        Ok(wait)
    }

    /// The try failed: the source stays away for a while.
    pub fn failed(&mut self, account: &str, source: &Source, now: Instant) {
        let fresh = Failures { count: 0, last: now, until: now };
        let failures = self.failures.entry(key(account, source)).or_insert(fresh);
        failures.count += 1;
        failures.last = now;
        if let Some(over) = failures.count.checked_sub(SLIPS + 1) {
            let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(over)).min(LONGEST_WAIT);
            failures.until = now + wait;
        }
    }

    /// The try succeeded: its source is trusted anew.
    pub fn succeeded(&mut self, account: &str, source: &Source) {
        self.failures.remove(&key(account, source));
    }

    fn tidy(&mut self, now: Instant) {
        if self.turns.len() + self.failures.len() > KEEP {
            self.turns.retain(|_, turn| *turn > now);
            self.failures.retain(|_, f| f.until > now || now.duration_since(f.last) < FORGET);
        }
        if self.failures.len() > KEEP {
            self.failures.retain(|_, f| f.until > now);
        }
    }
}

/// An address is held up for whatever account it tries: else it would try one password on all of them. A known browser
/// or phone is held up for the account alone that failed there.
fn key(account: &str, source: &Source) -> (Source, Option<String>) {
    let of = matches!(source, Source::Known(_)).then(|| account.to_owned());
    (source.clone(), of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> Source {
        Source::at(IpAddr::from([10, 0, 0, n]))
    }

    /// Ten minutes of a hundred addresses that guess as fast as they may, and one person who tries every second.
    fn flood(honest: &Source) -> (u32, Duration) {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let (mut tries, mut inside) = (0, None);
        for tick in 0..6_000_u64 {
            let now = start + Duration::from_millis(tick * 100);
            for n in 0..100 {
                let source = address(u8::try_from((tick + n) % 100).unwrap());
                if throttle.admit("li", &source, now).is_ok() {
                    tries += 1;
                    throttle.failed("li", &source, now);
                }
            }
            // Begins in the middle of it.
            if inside.is_none() && tick > 600 && tick % 10 == 0 {
                inside = throttle.admit("li", honest, now).ok().map(|wait| now + wait - start);
            }
        }
        (tries, inside.expect("gets in") - Duration::from_secs(60))
    }

    #[test]
    fn a_flood_of_guesses_gets_one_a_second_and_the_honest_person_in() {
        let (tries, inside) = flood(&Source::Known("browser".into()));
        assert!(tries <= 601, "{tries} in 600 s");
        assert!(inside <= Duration::from_secs(3), "{inside:?}");
    }

    #[test]
    fn a_source_that_fails_stays_away_longer_and_longer() {
        let (mut throttle, mut now) = (Throttle::default(), Instant::now());
        let source = address(1);
        let mut waits = Vec::new();
        for n in 0..16 {
            // Another account each time: the address is what is held up.
            let account = format!("account-{n}");
            if let Err(wait) = throttle.admit(&account, &source, now) {
                waits.push(wait.as_secs());
                now += wait;
                throttle.admit(&account, &source, now).unwrap();
            }
            throttle.failed(&account, &source, now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert!(throttle.admit("account-0", &address(2), now).is_ok(), "its neighbour is not");
        throttle.succeeded("x", &source);
        assert!(throttle.admit("account-1", &source, now + TURN).is_ok());
    }

    #[test]
    fn pins_of_a_stolen_phone_are_tried_for_months() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let (phone, mut now) = (Source::Known("phone-1".into()), start);
        for _ in 0..1_000 {
            match throttle.admit("p-03", &phone, now) {
                Ok(wait) => now += wait,
                Err(wait) => {
                    now += wait;
                    continue;
                }
            }
            throttle.failed("p-03", &phone, now);
        }
        // Half of the thousand calls were refused: about 500 PINs of the 10,000 in this time.
        assert!(now - start > Duration::from_secs(5 * 86_400), "{:?}", now - start);
        assert!(throttle.admit("p-04", &phone, now).is_ok(), "the next person on the phone is not held up");
    }

    #[test]
    fn what_is_kept_stays_small() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for n in 0..100_000_u32 {
            let source = Source::at(IpAddr::from(n.to_be_bytes()));
            let now = start + Duration::from_millis(n.into());
            throttle.admit(&format!("nobody-{n}"), &source, now).unwrap();
            throttle.failed(&format!("nobody-{n}"), &source, now);
        }
        assert!(throttle.turns.len() + throttle.failures.len() <= KEEP + 1_100, "{}", throttle.turns.len());
        let home = |text: &str| Source::at(text.parse().unwrap());
        assert_eq!(home("2001:db8:1:2::9"), home("2001:db8:1:2:ffff::1"));
        assert_ne!(home("2001:db8:1:2::9"), home("2001:db8:1:3::9"));
        assert_eq!(home("::ffff:10.0.0.1"), home("10.0.0.1"));
    }
}
