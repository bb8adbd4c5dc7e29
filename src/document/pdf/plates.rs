//! The printed plates of the waypoints (打卡牌): four of A6 on a sheet of A4, each with a QR code that the field app reads.

use std::path::Path;

use serde_json::json;
use url::Url;

use super::warn_of_missing;
use super::world::{Fonts, TemplateWorld};
use crate::error::{Error, Result};
use crate::lake::Place;

const TEMPLATE: &str = include_str!("../../../dashboards/plates.typ");

/// The plates of every waypoint of the place, in the order of their codes. Their QR codes lead to `{base}/m#w=CODE`; fonts
/// as in [`super::render`].
///
/// # Errors
/// `Invalid` at `base` for what is no address of a service, or at `documents.fonts_dir`; `Internal` if the layout fails.
pub fn plates(place: &Place, base: &str, extra_fonts: Option<&Path>) -> Result<Vec<u8>> {
    let base = address(base)?;
    let mut plates = Vec::new();
    let fonts = Fonts::load(extra_fonts)?;
    let families = fonts.families();
    let mut world = TemplateWorld::new(fonts, TEMPLATE)?;
    for (n, waypoint) in place.waypoints.iter().enumerate() {
        let mut link = base.clone();
        link.set_fragment(Some(&format!("w={}", waypoint.code)));
        let file = format!("{n}.svg");
        world.add_code(file.clone(), link.as_str())?;
        let sector = place.sectors.iter().find(|s| Some(&s.code) == waypoint.sector.as_ref());
        plates.push(json!({
            "code": waypoint.code,
            "name": waypoint.name,
            "sector": sector.map(|s| s.name.as_str()).unwrap_or_default(),
            "file": file,
        }));
    }
    let mut data = json!({
        "place": place.name,
        "notice": place.notice,
        "plates": plates,
        "fonts": families,
    });
    warn_of_missing(world.fonts(), &data);
    world.compile(&mut data)
}

/// `https://host` or `http://127.0.0.1:8080` as the address of the field app there.
fn address(base: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::invalid("base", format!("`{base}` {why}; allowed: https://host, with a path or not"))
    };
    let mut url =
        Url::parse(base.trim_end_matches('/')).map_err(|e| wrong(&format!("is no address: {e}")))?;
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    // The camera of a phone is open to https alone, or to the phone itself.
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(wrong("is not https"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong("has more than a host and a path"));
    }
    url.path_segments_mut().map_err(|()| wrong("has no path"))?.pop_if_empty().push("m");
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_field_app() {
        assert_eq!(address("https://hu.example").unwrap().as_str(), "https://hu.example/m");
        assert_eq!(
            address("https://hu.example:8443/jijia/").unwrap().as_str(),
            "https://hu.example:8443/jijia/m"
        );
        assert_eq!(address("http://127.0.0.1:8080").unwrap().as_str(), "http://127.0.0.1:8080/m");
        for wrong in [
            "",
            "hu.example",
            "http://hu.example",
            "https://u@hu.example",
            "https://hu.example/?a=1",
            "data:x",
        ] {
            let message = address(wrong).unwrap_err().to_string();
            assert!(message.starts_with("base: ") && message.contains("allowed: https"), "{message}");
        }
    }
}
