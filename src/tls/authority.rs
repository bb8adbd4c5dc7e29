//! An authority of the office's own, for phones in its network: a browser gives camera and position to HTTPS alone, and no
//! public authority signs for an address like 192.168.1.20. It can vouch for private addresses and the names it was made
//! for, and for nothing else: a stolen key opens no bank.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};

use super::write;
use crate::error::{Error, Result};

/// How long the authority holds, days.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a certificate holds, days; Apple refuses more than 825 of an authority that a person trusts.
const CERTIFICATE_DAYS: i64 = 90;
/// Private networks (RFC 1918), the loopback, link-local addresses.
const PRIVATE: [([u8; 4], u8); 5] = [
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
];
/// Private IPv6: unique local (RFC 4193), link-local, the loopback.
const PRIVATE_V6: [(u16, u8); 2] = [(0xfc00, 7), (0xfe80, 10)];

/// The files of an authority that has vouched for this service.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The authority's certificate, PEM: what phones are to trust.
    pub authority: PathBuf,
    /// The service's certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM; only its owner can read it.
    pub key: PathBuf,
}

/// Makes the authority in `dir` where there is none, and a fresh certificate for `names` (host names and addresses).
///
/// # Errors
/// `Invalid` for a name that the authority may not vouch for: then remove `dir`, and have phones trust the new one; those
/// of the disk.
pub fn issue(dir: &Path, names: &[String], now: Timestamp) -> Result<Issued> {
    std::fs::create_dir_all(dir)?;
    let issued = Issued {
        authority: dir.join("authority.pem"),
        certificate: dir.join("server.pem"),
        key: dir.join("server.key"),
    };
    let (key_file, names_file) = (dir.join("authority.key"), dir.join("names"));
    if !key_file.is_file() {
        let hosts: Vec<&str> =
            names.iter().map(String::as_str).filter(|n| n.parse::<IpAddr>().is_err()).collect();
        let key = KeyPair::generate().map_err(|e| broken(&e))?;
        let certificate = authority(&hosts, now).self_signed(&key).map_err(|e| broken(&e))?;
        write(&issued.authority, &certificate.pem(), 0o644)?;
        write(&names_file, &hosts.join("\n"), 0o644)?;
        // Last: a crash before leaves no authority, and the next start makes one.
        write(&key_file, &key.serialize_pem(), 0o600)?;
    }
    let hosts = std::fs::read_to_string(&names_file)?;
    for name in names {
        check_name(name, &hosts, dir)?;
    }
    let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file)?).map_err(|e| broken(&e))?;
    let issuer = Issuer::new(authority(&hosts.lines().collect::<Vec<_>>(), now), key);
    let own = KeyPair::generate().map_err(|e| broken(&e))?;
    let certificate = leaf(names, now)?.signed_by(&own, &issuer).map_err(|e| broken(&e))?;
    write(&issued.key, &own.serialize_pem(), 0o600)?;
    write(&issued.certificate, &certificate.pem(), 0o644)?;
    Ok(issued)
}

fn broken(error: &rcgen::Error) -> Error {
    Error::Internal(format!("the office's authority: {error}"))
}

fn check_name(name: &str, hosts: &str, dir: &Path) -> Result<()> {
    let known = match name.parse::<IpAddr>() {
        Ok(ip) => is_private(ip),
        Err(_) => hosts.lines().any(|h| h == name),
    };
    if known {
        return Ok(());
    }
    let message = format!(
        "`{name}` is not among what the office's own authority vouches for; allowed: private addresses, {}; or remove {}, \
         and let phones trust the new authority",
        hosts.replace('\n', ", "),
        dir.display()
    );
    Err(Error::invalid("server.public_url", message))
}

/// Of a network that no public authority signs for.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn dates(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let day = |offset: i64| {
        let at = now + SignedDuration::from_hours(24 * offset);
        let date = Offset::UTC.to_datetime(at).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    // From the day before: a phone's clock may be behind.
    params.not_before = day(-1);
    params.not_after = day(days);
}

fn authority(hosts: &[&str], now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject("吉家湖巡护 本地证书");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let v4 = PRIVATE.map(|(ip, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(ip, bits)));
    let v6 = PRIVATE_V6.map(|(head, bits)| {
        let mut ip = [0; 16];
        ip[..2].copy_from_slice(&head.to_be_bytes());
        GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(ip, bits))
    });
    let named = hosts.iter().map(|h| GeneralSubtree::DnsName((*h).to_owned()));
    let permitted_subtrees = v4.into_iter().chain(v6).chain(named).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    dates(&mut params, now, AUTHORITY_DAYS);
    params
}

fn leaf(names: &[String], now: Timestamp) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject("jijia");
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(|e| broken(&e))?),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    dates(&mut params, now, CERTIFICATE_DAYS);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn the_authority_stays_and_vouches_for_private_names_alone() {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-11-27T08:00:00Z".parse().unwrap();
        let first = issue(dir.path(), &names(&["jijia.lan", "192.168.1.20"]), now).unwrap();
        let authority = std::fs::read(&first.authority).unwrap();
        let before = std::fs::read(&first.certificate).unwrap();
        issue(dir.path(), &names(&["jijia.lan", "10.0.0.7", "::1"]), now).unwrap();
        assert_eq!(std::fs::read(&first.authority).unwrap(), authority, "phones trust it already");
        assert_ne!(std::fs::read(&first.certificate).unwrap(), before);
        for name in ["8.8.8.8", "bank.example", "2001:db8::1"] {
            let said = issue(dir.path(), &names(&[name]), now).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("private addresses"), "{said}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for key in ["authority.key", "server.key"] {
                let mode = std::fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{key}");
            }
        }
    }
}
