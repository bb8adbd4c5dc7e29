//! How often a secret may be tried: once a second for an account and lane, whoever asks; and for each source longer and
//! longer after every failure. A browser that an account has signed in from before, and an enrolled phone, have a lane of
//! their own: no flood of guesses shuts an honest person out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between two tries of one account in one lane.
const TURN: Duration = Duration::from_secs(1);
/// Failures of a source that cost nothing: slips of a finger.
const SLIPS: u32 = 3;
/// The wait after the last slip; it doubles with each further failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait of an address. A whole office may share one: whoever is honest there must not wait for long.
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest wait of a known browser or a phone.
const KNOWN_WAIT_MAX: Duration = Duration::from_secs(900);
/// A source without failures for so long is forgotten.
const FORGET: Duration = Duration::from_secs(86_400);
/// The longest a known browser waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries kept; beyond, those that hold nobody up are dropped.
const KEEP: usize = 20_000;

/// What the document of signing in tells.
#[cfg(test)]
pub(super) const NUMBERS: (Duration, u32, Duration, [Duration; 2], Duration) =
    (TURN, SLIPS, FIRST_WAIT, [ADDRESS_WAIT_MAX, KNOWN_WAIT_MAX], PATIENCE);

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

    /// A browser or phone that is known to the account.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// The tries of late. Kept in memory: a restart takes longer than the second it forgives.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the next try of an account may be made, in the lane of known sources or in that of strangers.
    turns: HashMap<(String, bool), Instant>,
    failures: HashMap<(Source, Option<String>), Failures>,
}

/// The failures of one source.
#[derive(Clone, Debug)]
struct Failures {
    by_account: HashMap<String, u32>,
    last: Instant,
    wait_max: Duration,
}

impl Failures {
    fn count(&self) -> u32 {
        self.by_account.values().sum()
    }

    /// When the source may try again.
    fn until(&self) -> Instant {
        match self.count().checked_sub(SLIPS) {
            Some(over) => {
                self.last + FIRST_WAIT.saturating_mul(2_u32.saturating_pow(over)).min(self.wait_max)
            }
            None => self.last,
        }
    }
}

impl Throttle {
    /// Whether the try may be made now: after so long a wait, which is zero for all but known sources. It counts as a
    /// failure until [`Throttle::succeeded`] or [`Throttle::withdrawn`], so that tries side by side gain nothing.
    ///
    /// # Errors
    /// How long to stay away.
    pub fn admit(&mut self, account: &str, source: &Source, now: Instant) -> Result<Duration, Duration> {
        self.tidy(now);
        let key = key(account, source);
        if self.failures.get(&key).is_some_and(|f| now.duration_since(f.last) >= FORGET) {
            self.failures.remove(&key);
        }
        if let Some(until) = self.failures.get(&key).map(Failures::until).filter(|until| *until > now) {
            return Err(until - now);
        }
        let lane = (account.to_owned(), source.is_known());
        let turn = self.turns.get(&lane).copied().unwrap_or(now).max(now);
        let wait = turn - now;
        let patience = if source.is_known() { PATIENCE } else { Duration::ZERO };
        if wait > patience {
            return Err(wait);
        }
        self.turns.insert(lane, turn + TURN);
        let wait_max = if source.is_known() { KNOWN_WAIT_MAX } else { ADDRESS_WAIT_MAX };
        let fresh = || Failures { by_account: HashMap::new(), last: turn, wait_max };
        let failures = self.failures.entry(key).or_insert_with(fresh);
        *failures.by_account.entry(account.to_owned()).or_default() += 1;
        failures.last = turn;
        Ok(wait)
    }

    /// The try succeeded: what this account failed at this source is forgiven, and no other account's failures.
    pub fn succeeded(&mut self, account: &str, source: &Source) {
        self.change(account, source, |_| 0);
    }

    /// The try came to no end that says anything: it does not count.
    pub fn withdrawn(&mut self, account: &str, source: &Source) {
        self.change(account, source, |count| count.saturating_sub(1));
    }

    fn change(&mut self, account: &str, source: &Source, to: impl FnOnce(u32) -> u32) {
        let key = key(account, source);
        let Some(failures) = self.failures.get_mut(&key) else { return };
        let left = to(failures.by_account.get(account).copied().unwrap_or_default());
        match left {
            0 => drop(failures.by_account.remove(account)),
            left => drop(failures.by_account.insert(account.to_owned(), left)),
        }
        if failures.by_account.is_empty() {
            self.failures.remove(&key);
        }
    }

    fn tidy(&mut self, now: Instant) {
        if self.turns.len() + self.failures.len() > KEEP {
            self.turns.retain(|_, turn| *turn > now);
            self.failures.retain(|_, f| f.until() > now || now.duration_since(f.last) < FORGET);
        }
        if self.failures.len() > KEEP {
            self.failures.retain(|_, f| f.until() > now);
        }
    }
}

/// An address is held up for whatever account it tries: else it would try one password on all of them. A known browser
/// or phone is held up for the account alone that failed there.
fn key(account: &str, source: &Source) -> (Source, Option<String>) {
    (source.clone(), source.is_known().then(|| account.to_owned()))
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
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60]);
        assert!(throttle.admit("account-0", &address(2), now).is_ok(), "its neighbour is not");
    }

    #[test]
    fn tries_side_by_side_are_failures_until_they_end() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let admitted = (0..3_000).filter(|n| throttle.admit(&format!("name-{n}"), &address(1), now).is_ok());
        assert_eq!(admitted.count(), 3);
    }

    #[test]
    fn the_success_of_one_account_forgives_no_other_of_the_same_address() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let source = address(1);
        for account in ["li", "wang", "own"] {
            throttle.admit(account, &source, now).unwrap();
        }
        throttle.succeeded("own", &source);
        assert!(throttle.admit("zhao", &source, now).is_ok(), "the third failure");
        assert!(throttle.admit("qian", &source, now).is_err(), "two of others, and one more");
        throttle.withdrawn("zhao", &source);
        assert!(throttle.admit("qian", &source, now).is_ok(), "one that said nothing does not count");
        assert!(throttle.admit("own", &source, now + FORGET + FORGET).is_ok());
    }

    #[test]
    fn strangers_take_no_turn_of_a_known_browser() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        throttle.admit("li", &address(1), now).unwrap();
        assert_eq!(throttle.admit("li", &Source::Known("browser".into()), now), Ok(Duration::ZERO));
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
        }
        assert!(throttle.turns.len() + throttle.failures.len() <= KEEP + 1_100, "{}", throttle.turns.len());
        let home = |text: &str| Source::at(text.parse().unwrap());
        assert_eq!(home("2001:db8:1:2::9"), home("2001:db8:1:2:ffff::1"));
        assert_ne!(home("2001:db8:1:2::9"), home("2001:db8:1:3::9"));
        assert_eq!(home("::ffff:10.0.0.1"), home("10.0.0.1"));
    }
}
