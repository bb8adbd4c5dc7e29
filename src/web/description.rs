//! What every operation of the API's description has in common, said in one place: the errors that the way to a handler
//! can answer (by the door's rule, its method and its parameters), their media type, and the form of parameters by name.

use std::collections::BTreeMap;

use utoipa::Number;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{KnownFormat, Object, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Schema};

use super::access::SESSION;
use super::doors::Door;
use super::problem::MEDIA_TYPE;
use crate::people::Rule;

/// A 64-digit hash.
const SHA256: &str = "^[0-9a-f]{64}$";
/// A day, or an instant of RFC 3339.
const DAY_OR_INSTANT: &str = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}.*)?$";

/// Completes the description by the table of doors.
pub(super) fn complete(api: &mut OpenApi, table: &[Door]) {
    let rules: BTreeMap<(&str, &str), Rule> = table.iter().map(|d| ((d.method, &*d.path), d.rule)).collect();
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            let public = rules.get(&(method, path)).is_none_or(|rule| *rule == Rule::Public);
            operation.parameters.iter_mut().flatten().for_each(|p| form(path, p));
            add_errors(method, path, public, operation);
            if !public {
                let session = SecurityRequirement::new("session", [""; 0]);
                let session = if is_safe(method) { session } else { session.add("csrf", [""; 0]) };
                operation.security = Some(vec![SecurityRequirement::new("token", [""; 0]), session]);
            }
        }
    }
    let components = api.components.get_or_insert_default();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION)));
    components.add_security_scheme("session", cookie);
    let shown = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-CSRF-Token")));
    components.add_security_scheme("csrf", shown);
}

/// Changes nothing (RFC 9110, 9.2.1).
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("GET", &mut item.get),
        ("HEAD", &mut item.head),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("DELETE", &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The answers that any handler behind this door can give, where it does not describe them itself; then every error in
/// the one envelope.
fn add_errors(method: &str, path: &str, public: bool, operation: &mut Operation) {
    let asks = operation.parameters.as_ref().is_some_and(|p| !p.is_empty());
    let in_path = path.contains('{');
    let body = operation.request_body.is_some();
    let writes = !is_safe(method) || is_entry(path);
    // Documents and bundles are made a few at a time; secrets are hashed a few at a time.
    let in_turn = path.rsplit('/').next().is_some_and(|last| last.contains('.'))
        || (method == "POST" && path.ends_with("/bundles"))
        || path.ends_with("/pin");
    let common = [
        (in_path, "400", "The address cannot be read"),
        (!public, "401", "Not signed in, or an invalid or expired token"),
        (true, "403", "The role may not, another site's page asked, or the `X-CSRF-Token` is missing"),
        (body, "413", "The body is larger than allowed"),
        (body, "415", "The Content-Encoding, or the kind of the body, is not supported"),
        (asks || body, "422", "A parameter or a field of the body is wrong: `field` names it"),
        (in_turn, "429", "Too many at a time: send again after `Retry-After`"),
        (true, "500", "An error of the service; its log says more"),
        (true, "503", "Not now: send again after `Retry-After`"),
        (writes, "507", "The disk is full; nothing was stored"),
    ];
    let responses = &mut operation.responses.responses;
    for (status, words) in
        common.into_iter().filter_map(|(may, status, words)| may.then_some((status, words)))
    {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::new(words)));
    }
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        let RefOr::T(response) = response else { continue };
        response.content.clear();
        if method != "HEAD" {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content.insert(MEDIA_TYPE.to_owned(), problem.into());
        }
    }
}

/// Whether reading at `path` is an entry of the log first: an export, an original, a voice note, a name.
fn is_entry(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.contains('.')
        || matches!(last, "watermarked" | "name")
        || matches!(path, "/api/v1/photos/{sha256}" | "/api/v1/voices/{sha256}")
}

/// Says what a parameter of this name must be like, wherever it stands.
fn form(path: &str, parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { name, parameter_in, schema: Some(RefOr::T(Schema::Object(object))), .. }) =
        parameter
    else {
        return;
    };
    if !is_text(object) {
        if name == "limit" {
            (object.minimum, object.maximum) = (Some(Number::Int(1)), Some(Number::Int(200)));
        }
        return;
    }
    let mut pattern = |pattern: &str, longest: usize| {
        (object.pattern, object.max_length) = (Some(pattern.to_owned()), Some(longest));
    };
    let duty = path.starts_with("/api/v1/compliance");
    match (&**name, &*parameter_in) {
        ("sha256", _) => pattern(SHA256, 64),
        ("id", ParameterIn::Path) if path.contains("/bundles/") => {
            object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
        }
        ("id", ParameterIn::Path) if path.contains("/people/") => pattern("^p-[0-9]+$", 20),
        ("id", ParameterIn::Path) if path.contains("/machines/") => pattern("^(phone|token)-[0-9]+$", 26),
        ("from" | "to", _) if duty => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Date)),
        ("from" | "to", _) => pattern(DAY_OR_INSTANT, 40),
        ("datetime", _) => pattern(r"^(\.\.|[^/]*)(/(\.\.|[^/]*))?$", 81),
        ("bbox", _) => pattern(r"^ *-?[0-9.]+( *, *-?[0-9.]+){3} *$", 100),
        ("cursor", _) if path.contains("/dead-letters") => pattern("^[0-9]+$", 20),
        ("cursor", _) => pattern(r"^-?[0-9]+\.[0-9]+$", 40),
        ("photos", _) => object.enum_values = Some(vec!["copies".into(), "originals".into()]),
        ("Device-Time", _) => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
        ("Range", _) => pattern(r"^bytes=[0-9, -]+$", 200),
        ("If-None-Match", _) => pattern(r#"^(W/)?"[^"]*"$"#, 100),
        ("If-Range", _) => pattern(r#"^"[0-9a-f-]+"$"#, 66),
        ("outfall" | "sector" | "unit" | "person", _) => pattern(r"^[A-Za-z0-9_.-]+$", 64),
        _ => {}
    }
}

fn is_text(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(one) => *one == Type::String,
        SchemaType::Array(some) => some.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}
