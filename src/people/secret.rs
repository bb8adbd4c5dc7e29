//! What people and machines know: passwords, PINs, one-time codes, tokens. Of each the store keeps only what cannot be
//! turned back.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash};
use sha2::{Digest, Sha256};
use totp_rs::Builder;

use crate::error::{Error, Result};

/// Shortest password, characters. OWASP ASVS 5.0, 6.2.1 asks for 8 at least.
pub(super) const PASSWORD_MIN: usize = 10;
/// Longest password, characters (6.2.9 asks for 64 at least).
pub(super) const PASSWORD_MAX: usize = 128;
/// Guesses that must be needed to find a password; 10⁸ is zxcvbn's mark for "safely unguessable" online (score 3).
pub(super) const GUESSES_MIN: u64 = 100_000_000;
/// Words of this service: whoever guesses tries them first. Those of the place and of the person come beside.
pub(super) const CONTEXT: [&str; 26] = [
    "jijia",
    "jijiahu",
    "xunhu",
    "xuncha",
    "guanli",
    "paikou",
    "admin",
    "administrator",
    "patrol",
    "supervisor",
    "liaison",
    "viewer",
    "password",
    "吉家",
    "吉家湖",
    "巡护",
    "巡湖",
    "巡查",
    "排口",
    "管理员",
    "巡查员",
    "监管员",
    "联络员",
    "责任单位",
    "联席会议",
    "密码",
];
/// Letters and digits that must be left when those words are taken out.
pub(super) const OWN_MIN: usize = 6;
/// Bytes of a name from which on it is such a word: two letters of Chinese, or four of another alphabet.
const WORD_MIN: usize = 4;
/// Bytes of a one-time code's secret (RFC 4226, 4: 160 bits recommended).
const TOTP_BYTES: usize = 20;
/// Bytes of the salt of a password or a PIN.
const SALT_BYTES: usize = 16;
/// Bytes of a token, 256 bits (ASVS 7.2.3 asks for 128).
pub(super) const TOKEN_BYTES: usize = 32;

/// Checks a new password; `known` are words that belong to its person and its place.
///
/// # Errors
/// `Invalid` at `password`, with what is allowed.
pub fn check_password(password: &str, known: &[&str]) -> Result<()> {
    let length = password.chars().count();
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&length) {
        let message = format!("has {length} characters; allowed: {PASSWORD_MIN} to {PASSWORD_MAX}, any");
        return Err(Error::invalid("password", message));
    }
    let words: Vec<&str> = CONTEXT.iter().chain(known).copied().collect();
    let own = without(password, &words).chars().filter(|c| c.is_alphanumeric()).count();
    if own < OWN_MIN || zxcvbn::zxcvbn(password, &words).guesses() < GUESSES_MIN {
        return Err(Error::invalid(
            "password",
            "is one of those that are guessed soon; allowed: for example four words that do not belong together",
        ));
    }
    Ok(())
}

/// What is left when the words are taken out, the longest first.
fn without(password: &str, words: &[&str]) -> String {
    let mut words: Vec<String> =
        words.iter().filter(|w| w.len() >= WORD_MIN).map(|w| w.to_lowercase()).collect();
    words.sort_by_key(|w| std::cmp::Reverse(w.len()));
    words.iter().fold(password.to_lowercase(), |left, word| left.replace(word.as_str(), " "))
}

/// Checks a new PIN of a shared phone: four to eight digits, not all alike and not in a row.
///
/// # Errors
/// `Invalid` at `field`, with what is allowed.
pub fn check_pin(field: &str, pin: &str) -> Result<()> {
    let digits = pin.as_bytes();
    let steps: Vec<i16> = digits.windows(2).map(|w| i16::from(w[1]) - i16::from(w[0])).collect();
    let simple = [0, 1, -1].iter().any(|step| steps.iter().all(|s| s == step));
    if (4..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && !simple {
        return Ok(());
    }
    Err(Error::invalid(field, "allowed: 4 to 8 digits, not all alike, not in a row like 1234"))
}

/// The PHC string of a password or a PIN, by a [`Hasher`] of its own.
///
/// # Errors
/// `Unavailable` if the system has no randomness to give.
pub fn hash(secret: &str) -> Result<String> {
    Hasher::default().hash(secret)
}

/// Hashes passwords and PINs: argon2id, 19 MiB, two passes, one lane (OWASP ASVS 5.0, appendix C.4). Takes some tens of
/// milliseconds. Its memory is used again by the next hash: to get 19 MiB from the system and give them back each time
/// costs a fifth of that.
#[derive(Default)]
pub struct Hasher {
    memory: Vec<Block>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// The PHC string of a secret.
    ///
    /// # Errors
    /// `Unavailable` if the system has no randomness to give.
    pub fn hash(&mut self, secret: &str) -> Result<String> {
        let salt = random::<SALT_BYTES>()?;
        let made = self.phc(&Argon2::default(), secret, &salt);
        made.map(|phc| phc.to_string()).map_err(|e| Error::Unavailable(format!("argon2: {e}")))
    }

    /// Whether `secret` is what `phc` was made of. Takes as long as [`Hasher::hash`], also for what is no PHC string: an
    /// account that does not exist must not answer faster.
    #[must_use]
    pub fn verify(&mut self, secret: &str, phc: Option<&str>) -> bool {
        match phc {
            Some(phc) => self.is_of(secret, phc).unwrap_or(false),
            None => {
                // Only for its time.
                let _ = self.hash(secret);
                false
            }
        }
    }

    /// Gives the memory back.
    pub fn release(&mut self) {
        self.memory = Vec::new();
    }

    /// With the costs that stand in `phc`; the two hashes are compared in constant time.
    fn is_of(&mut self, secret: &str, phc: &str) -> password_hash::Result<bool> {
        let known = PasswordHash::new(phc)?;
        let algorithm = Algorithm::try_from(known.algorithm.as_str())?;
        let version = known.version.map(Version::try_from).transpose()?.unwrap_or_default();
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&known)?);
        let salt = known.salt.ok_or(password_hash::Error::SaltInvalid)?;
        Ok(self.phc(&argon2, secret, &salt)?.hash == known.hash)
    }

    fn phc(&mut self, argon2: &Argon2<'_>, secret: &str, salt: &[u8]) -> password_hash::Result<PasswordHash> {
        let (params, mut out) = (argon2.params(), [0; Output::MAX_LENGTH]);
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = out.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        if self.memory.len() < params.block_count() {
            self.memory.resize(params.block_count(), Block::new());
        }
        argon2.hash_password_into_with_memory(secret.as_bytes(), salt, out, &mut self.memory)?;
        Ok(PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(out)?),
        })
    }
}

/// A fresh secret of one-time codes.
///
/// # Errors
/// `Unavailable` if the system has no randomness to give.
pub fn new_totp() -> Result<Vec<u8>> {
    random::<TOTP_BYTES>().map(Into::into)
}

/// The time step whose code this is: 30 s each, one to either side allowed (RFC 6238, 5.2). A step that was used before
/// must not be taken again.
#[must_use]
pub fn totp_step(secret: &[u8], code: &str, unix_s: u64) -> Option<u64> {
    let totp = Builder::new().with_secret(secret.to_vec()).with_skew(1).build_noncompliant();
    totp.check(code, unix_s)
}

/// The address that an authenticator app reads from a QR code.
#[must_use]
pub fn totp_uri(secret: &[u8], login: &str, issuer: &str) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let (issuer, secret) = (encoded(issuer).replace('+', "%20"), totp_text(secret));
    format!("otpauth://totp/{issuer}:{}?secret={secret}&issuer={issuer}", encoded(login))
}

/// The secret as it is typed by hand: Base32.
#[must_use]
pub fn totp_text(secret: &[u8]) -> String {
    totp_rs::Secret::from(secret.to_vec()).to_base32()
}

/// A secret as typed.
///
/// # Errors
/// `Invalid` at `totp`.
pub fn read_totp(text: &str) -> Result<Vec<u8>> {
    let secret = totp_rs::Secret::try_from_base32(text.trim());
    secret.map(|s| s.as_bytes().to_vec()).map_err(|_| Error::invalid("totp", "allowed: Base32"))
}

/// A fresh token: what its holder gets, as text.
///
/// # Errors
/// `Unavailable` if the system has no randomness to give.
pub fn new_token() -> Result<String> {
    random::<TOKEN_BYTES>().map(hex::encode)
}

/// What the store keeps of a token. Nothing slow is needed: a token cannot be guessed.
#[must_use]
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// What a page must send along with a request that changes something, so that no other site can make it: bound to the
/// token that the cookie holds, and no way back to it.
#[must_use]
pub fn csrf(token: &str) -> String {
    let bound = Sha256::new().chain_update(b"csrf\0").chain_update(token).finalize();
    hex::encode(&bound[..16])
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::Unavailable(format!("no randomness: {e}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_guessed_soon_are_refused() {
        for bad in ["short", "password12", "qwertyuiop", "1234567890", "jijiahu2026", &"a".repeat(129)] {
            assert!(check_password(bad, &["jijiahu", "吉家湖"]).is_err(), "{bad}");
        }
        for good in ["correct horse battery", "湖边的鸭子晚上不睡觉", "tuvwyz-91-Kranich"] {
            check_password(good, &["jijiahu"]).unwrap_or_else(|e| panic!("{good}: {e}"));
        }
        for bad in [
            "巡查员吉家湖管理员排口",
            "Jijiahu-Xunhu-Admin!!",
            "wang.min wang.min 2026",
            "荷花街社区荷花街社区2026",
        ] {
            let known = ["王敏", "wang.min", "荷花街社区"];
            assert!(check_password(bad, &known).is_err(), "{bad} is made of words of the place");
        }
        // Of any length within the bounds, and of any letters.
        let by_chance: String =
            (0..128_u8).map(|n| char::from(b'a' + n.wrapping_mul(n).wrapping_mul(7) % 26)).collect();
        for (length, good) in [(9, false), (10, true), (64, true), (128, true), (129, false)] {
            let password: String = by_chance.chars().cycle().skip(3).take(length).collect();
            assert_eq!(check_password(&password, &[]).is_ok(), good, "{length}: {password}");
        }
        for bad in ["", "123", "1234", "4321", "7777", "12a4", "123456789", "１３５７"] {
            assert!(check_pin("pin", bad).is_err(), "{bad}");
        }
        for good in ["1357", "0852", "90210"] {
            check_pin("pin", good).unwrap();
        }
    }

    #[test]
    fn a_hash_is_argon2id_with_the_asked_costs_and_knows_its_secret() {
        let phc = hash("湖边的鸭子").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        // One memory for all of them: what one hash leaves in it is nothing to the next.
        let mut hasher = Hasher::default();
        assert!(hasher.verify("湖边的鸭子", Some(&phc)));
        assert!(!hasher.verify("湖边的鸭", Some(&phc)));
        assert!(!hasher.verify("x", None) && !hasher.verify("x", Some("")));
        hasher.release();
        assert!(hasher.verify("湖边的鸭子", Some(&phc)));
        // Made by another program, with other costs.
        let other = "$argon2id$v=19$m=8192,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$";
        assert!(!hasher.verify("x", Some(other)));
    }

    /// RFC 6238, appendix B, SHA-1: the last six of the eight digits.
    #[test]
    fn one_time_codes_are_those_of_the_standard() {
        let secret = b"12345678901234567890";
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(totp_step(secret, code, time), Some(time / 30));
            assert_eq!(totp_step(secret, code, time + 30), Some(time / 30), "one step late");
            assert_eq!(totp_step(secret, code, time + 61), None);
        }
        assert_eq!(totp_step(secret, "28708", 59), None);
        assert_eq!(totp_text(secret), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(read_totp(&totp_text(secret)).unwrap(), secret);
        let uri = totp_uri(secret, "li.jianguo", "吉家湖 巡护");
        assert!(uri.contains("li.jianguo?secret=GEZ") && uri.ends_with("%20%E5%B7%A1%E6%8A%A4"), "{uri}");
    }

    #[test]
    fn tokens_differ_and_lead_nowhere_back() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
        assert_ne!(csrf(&one), csrf(&two));
        assert!(!hex::encode(digest(&one)).contains(&csrf(&one)));
    }
}
