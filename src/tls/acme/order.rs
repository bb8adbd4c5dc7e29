//! One order: an account, a proof for each name, a certificate.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error,
    HttpClient, Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::{Acme, Failure, replace};
use crate::tls::call;

/// How long an authority may take to look at the proofs, and to sign.
const PATIENCE: Duration = Duration::from_secs(120);
/// The account is no longer known there.
const FORGOTTEN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Refused(words(&problem)),
            Error::Timeout(_) => Self::Refused(format!("it was not done in {PATIENCE:?}")),
            other => Self::Away(other.to_string()),
        }
    }
}

/// On one line: they go to the log.
fn words(problem: &Problem) -> String {
    problem.to_string().trim_start_matches("API error: ").replace(char::is_control, " ")
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Refused(format!("a proof could not be made: {error}"))
}

/// Key and chain of a new certificate, PEM.
pub(super) async fn order(acme: &Acme) -> Result<String, Failure> {
    let account = account(acme).await?;
    let names: Vec<Identifier> = acme.names.iter().cloned().map(Identifier::Dns).collect();
    let ordered = account.new_order(&NewOrder::new(&names)).await;
    if matches!(&ordered, Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(FORGOTTEN)) {
        tokio::fs::remove_file(acme.folder.join("account.json"))
            .await
            .map_err(|e| Failure::Refused(e.to_string()))?;
        return Err(Failure::Away("it has forgotten the account; a new one is made".into()));
    }
    let mut order = ordered?;
    let shown = show_proofs(acme, &mut order).await;
    let done = match shown {
        Ok(()) => finish(&mut order).await,
        Err(failure) => Err(failure),
    };
    acme.set_proofs(BTreeMap::new());
    done
}

/// The kept account; where there is none, a new one, kept before it is used.
async fn account(acme: &Acme) -> Result<Account, Failure> {
    let file = acme.folder.join("account.json");
    let unusable = |why: &dyn std::fmt::Display| Failure::Refused(format!("{}: {why}", file.display()));
    let builder = Account::builder_with_http(Box::new(Line(acme.tls.clone())));
    match tokio::fs::read(&file).await {
        Ok(kept) => {
            let credentials: AccountCredentials = serde_json::from_slice(&kept).map_err(|e| unusable(&e))?;
            Ok(builder.from_credentials(credentials).await?)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let contact: Vec<&str> = acme.contact.as_deref().into_iter().collect();
            let new =
                NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
            let text = serde_json::to_string(&credentials).map_err(|e| unusable(&e))?;
            replace(file.clone(), text).await.map_err(|e| unusable(&e))?;
            Ok(account)
        }
        Err(e) => Err(unusable(&e)),
    }
}

/// Shows a proof for every name that the authority wants one for, then says that it may look.
async fn show_proofs(acme: &Acme, order: &mut Order) -> Result<(), Failure> {
    let mut proofs = BTreeMap::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let none = || Failure::Refused(format!("it offers no TLS-ALPN-01 for {name}"));
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01).ok_or_else(none)?;
        let digest = challenge.key_authorization().digest();
        proofs.insert(name.clone(), Arc::new(proof(name, digest.as_ref())?));
    }
    acme.set_proofs(proofs);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending
            && let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01)
        {
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

/// A certificate of nobody that holds the digest (RFC 8737, 3).
fn proof(name: String, digest: &[u8]) -> Result<CertifiedKey, Failure> {
    let mut params = CertificateParams::new([name]).map_err(broken)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(broken)?;
    let certificate = params.self_signed(&key).map_err(broken)?;
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not `from_der`: it refuses the extension that nobody but an authority reads.
    let secret = ring::sign::any_ecdsa_type(&secret).map_err(broken)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], secret))
}

async fn finish(order: &mut Order) -> Result<String, Failure> {
    let patience = RetryPolicy::new().timeout(PATIENCE);
    match order.poll_ready(&patience).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(Failure::Refused(reasons(order).await.unwrap_or_default())),
        Err(error) => {
            // The order says that a name is not proved, the name says why.
            let reasons = reasons(order).await.filter(|_| matches!(error, Error::Api(_)));
            return Err(reasons.map_or_else(|| error.into(), Failure::Refused));
        }
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&patience).await?;
    Ok(format!("{key}{chain}"))
}

/// What the authority found wrong with each name, as far as it says so.
async fn reasons(order: &mut Order) -> Option<String> {
    let mut all = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            let name = state.identifier().to_string();
            let wrong = state.challenges.iter().filter_map(|c| c.error.as_ref());
            all.extend(wrong.map(|problem| format!("{name}: {}", words(problem))));
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
}

/// The way to the authority.
struct Line(Arc<ClientConfig>);

impl HttpClient for Line {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = call::send(request, Some(self.0.clone()));
        Box::pin(async move { answer.await.map(BytesResponse::from).map_err(Error::Other) })
    }
}
