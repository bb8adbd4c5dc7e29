//! Values from the environment: `JIJIA_SECTION_KEY`.

use toml::{Table, Value};

use super::nearest;
use crate::error::{Error, Result};

/// Takes the value of `JIJIA_SECTION_KEY`.
///
/// # Errors
/// `Invalid` for an unknown name, with a near one, and for a value of another kind.
pub(super) fn overlay(onto: &mut Table, defaults: &Table, name: &str, text: &str) -> Result<()> {
    let names = || {
        defaults.iter().flat_map(|(section, keys)| {
            let keys = keys.as_table().into_iter().flatten();
            keys.map(move |(key, default)| {
                (format!("JIJIA_{section}_{key}").to_uppercase(), section, key, default)
            })
        })
    };
    let Some((_, section, key, default)) = names().find(|(n, ..)| n == name) else {
        if is_service_link(name) {
            return Ok(());
        }
        let all: Vec<String> = names().map(|(n, ..)| n).collect();
        let near = nearest(name, all.iter().map(String::as_str));
        return Err(Error::invalid(name, format!("unknown environment name; did you mean `{near}`?")));
    };
    let wrong = |kind: &str| Error::invalid(name, format!("`{text}` is not {kind}"));
    let value = match default {
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Value::Float(_) => Value::Float(text.parse().map_err(|_| wrong("a number"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Value::String(_) => Value::String(text.to_owned()),
        _ => return Err(Error::invalid(name, "can only be given in the file")),
    };
    if let Some(Value::Table(below)) = onto.get_mut(section) {
        below.insert(key.clone(), value);
    }
    Ok(())
}

/// A name that Kubernetes gives every pod for a Service called `jijia` or `jijia-…` (`enableServiceLinks`): where that
/// Service is, and nothing that was meant for us.
fn is_service_link(name: &str) -> bool {
    // Of a Service's name nothing is lost but the case and its hyphens.
    let service = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_word))
    };
    let Some(rest) = name.strip_prefix("JIJIA") else { return false };
    let ends = |end: &str| rest.strip_suffix(end).is_some_and(service);
    let named_port = rest.match_indices("_SERVICE_PORT_").any(|(at, mark)| {
        let port = &rest[at + mark.len()..];
        service(&rest[..at]) && !port.is_empty() && port.chars().all(is_word)
    });
    ends("_SERVICE_HOST") || ends("_SERVICE_PORT") || ends("_PORT") || named_port || {
        rest.match_indices("_PORT_")
            .any(|(at, mark)| service(&rest[..at]) && is_address(&rest[at + mark.len()..]))
    }
}

/// `80_TCP`, `80_TCP_PROTO`, `80_TCP_PORT`, `80_TCP_ADDR`.
fn is_address(text: &str) -> bool {
    let Some((port, rest)) = text.split_once('_') else { return false };
    let (protocol, part) = rest.split_once('_').unwrap_or((rest, ""));
    port.parse::<u16>().is_ok()
        && matches!(protocol, "TCP" | "UDP" | "SCTP")
        && matches!(part, "" | "PROTO" | "PORT" | "ADDR")
}

fn is_word(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    #[test]
    fn what_kubernetes_says_of_a_service_of_our_name_is_passed_over_and_nothing_else_is() {
        let said = |name: &str| load(None, [(name.to_owned(), "tcp://10.0.0.7:80".to_owned())]);
        for name in [
            "JIJIA_SERVICE_HOST",
            "JIJIA_SERVICE_PORT",
            "JIJIA_SERVICE_PORT_HTTP",
            "JIJIA_SERVICE_PORT_HTTP_ALT",
            "JIJIA_PORT",
            "JIJIA_PORT_80_TCP",
            "JIJIA_PORT_80_TCP_PROTO",
            "JIJIA_PORT_80_TCP_PORT",
            "JIJIA_PORT_80_TCP_ADDR",
            "JIJIA_PORT_53_UDP_ADDR",
            "JIJIA_PORT_9_SCTP",
            "JIJIA_WEB_SERVICE_HOST",
            "JIJIA_WEB_2_SERVICE_PORT_HTTPS",
            "JIJIA_WEB_PORT",
            "JIJIA_WEB_PORT_8080_TCP_ADDR",
        ] {
            assert!(said(name).is_ok(), "{name}: {:?}", said(name).err());
        }
        for name in [
            "JIJIA_SERVICE",
            "JIJIA_SERVICE_HOSTS",
            "JIJIA__SERVICE_HOST",
            "JIJIA_SERVICE_PORT_",
            "JIJIA_PORTS",
            "JIJIA_PORT_TCP",
            "JIJIA_PORT_80",
            "JIJIA_PORT_80_HTTP",
            "JIJIA_PORT_80_TCP_NAME",
            "JIJIA_PORT_99999_TCP",
            "JIJIA_web_PORT",
            "JIJIA_MQTT_HOTS",
            "JIJIA_SERVER_LISTENS",
        ] {
            let words = said(name).unwrap_err().to_string();
            assert!(words.starts_with(name) && words.contains("did you mean"), "{words}");
        }
        // A key of ours is ours, whatever its name is like.
        assert!(said("JIJIA_MQTT_PORT").unwrap_err().to_string().contains("whole number"));
    }
}
