//! Whose page a request comes from. A page of another site that is open in the same browser may not make this service do
//! anything (forged requests); where nobody is asked who they are, it may not read either (a name that was made to lead
//! here).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Passes on what comes from this service's own pages, and from programs; where the service is `open`, only by a name of
/// this host. A request without `Host` comes from no browser.
pub async fn only_from_here(State(open): State<bool>, mut request: Request, next: Next) -> Response {
    name_host(&mut request);
    match stranger(request.method(), request.headers(), open) {
        Some(detail) => {
            Problem { status: 403, code: "forbidden", title: "不允许的来源", detail, field: None }
                .into_response()
        }
        None => next.run(request).await,
    }
}

/// HTTP/2 says who is asked in the address (RFC 9113, 8.3.1); here it is always read in `Host`.
fn name_host(request: &mut Request) {
    let asked = request.uri().authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    if let (Some(asked), None) = (asked, request.headers().get(header::HOST)) {
        request.headers_mut().insert(header::HOST, asked);
    }
}

/// Why the request is not ours.
fn stranger(method: &Method, headers: &HeaderMap, open: bool) -> Option<String> {
    let text = |name| headers.get(name).map(|v: &HeaderValue| v.to_str().unwrap_or("?"));
    let host = text(header::HOST);
    if let Some(host) = host.filter(|h| open && !is_loopback(h)) {
        return Some(format!("Host `{host}` is not this service; allowed: 127.0.0.1, [::1] or localhost"));
    }
    // A proxy on this machine passes on what others ask.
    let passed_on =
        ["forwarded", "via", "x-forwarded-for", "x-real-ip"].iter().find(|h| headers.contains_key(**h));
    if let Some(header) = passed_on.filter(|_| open) {
        return Some(format!(
            "a demo is for this machine alone, and `{header}` says that somebody else asks"
        ));
    }
    if method.is_safe() {
        return None;
    }
    if is_from_elsewhere(headers) {
        return Some("sent by a page of another site; allowed: pages of this service".to_owned());
    }
    let origin = text(header::ORIGIN)?;
    let at = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let own = at.is_some() && at == host;
    (!own).then(|| format!("Origin `{origin}` is another site; allowed: pages of this service"))
}

/// A browser says that another site's page made it ask: by a link, a form, a picture.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
}

/// A name of this host, with or without a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        stranger(method, &headers, true).is_some()
    }

    #[test]
    fn other_sites_can_neither_read_nor_write() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.9.9.9"] {
            assert!(!refused(&Method::GET, &[("host", host)]), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:80", ""]
        {
            assert!(refused(&Method::GET, &[("host", host)]), "{host}");
        }
        let here = ("host", "127.0.0.1:8080");
        let post = |more: &[(&'static str, &'static str)]| refused(&Method::POST, &[&[here], more].concat());
        assert!(!post(&[]), "curl");
        assert!(!post(&[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(post(&[("origin", "http://evil.example")]));
        assert!(post(&[("origin", "http://127.0.0.1:9090")]), "another service of this host");
        assert!(post(&[("origin", "null")]));
        assert!(post(&[("sec-fetch-site", "cross-site")]));
        for header in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
            assert!(refused(&Method::GET, &[here, (header, "10.0.0.9")]), "an open service behind a proxy");
        }
        assert!(!refused(&Method::GET, &[here, ("sec-fetch-site", "cross-site")]), "a link may lead here");
        let name = [("host", "jijia.example"), ("origin", "https://jijia.example")];
        let headers = name.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        assert_eq!(
            stranger(&Method::POST, &headers, false),
            None,
            "a service with people has names of its own"
        );
        assert!(stranger(&Method::GET, &headers, true).is_some());
    }
}
