//! Maps and charts of the shipped place and a whole timeline: well-formed, safe to put into a page.

use jijia::lake::load::embedded;
use jijia::picture::{Canvas, MapMarks, OutfallMark, TimelinePictures, map, to_png};
use roxmltree::Document;

use crate::sample::sample;

/// No inline style, no script, no event handler, ids with the picture's prefix, a name and a description.
fn assert_safe(svg: &str, id: &str, role: &str) {
    let doc = Document::parse(svg).unwrap();
    let root = doc.root_element();
    assert_eq!(root.attribute("role"), Some(role));
    let children: Vec<&str> = root.children().map(|n| n.tag_name().name()).take(2).collect();
    assert_eq!(children, ["title", "desc"]);
    for node in doc.descendants().filter(roxmltree::Node::is_element) {
        assert!(!["script", "style", "foreignObject", "image"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(name != "style" && !name.starts_with("on"), "{name}");
            assert!(!value.contains("NaN") && !value.contains("inf"), "{name}={value}");
            if name == "id" {
                assert!(value.starts_with(id), "{value}");
            }
        }
    }
}

#[test]
fn the_pictures_of_a_timeline() {
    let drawn = TimelinePictures::of(&embedded(), &sample().timeline, Vec::new());
    assert_safe(&drawn.map_svg, "map", "img");
    assert_safe(&drawn.chart_svg, "chart", "img");
    assert!(drawn.map_svg.contains("示意"), "the notice of a place not surveyed");
    for svg in [&drawn.map_svg, &drawn.chart_svg] {
        let png = image::load_from_memory(&to_png(svg, 1280).unwrap()).unwrap();
        assert_eq!(png.width(), 1280);
    }
}

#[test]
fn links_are_there_when_asked_for_and_hostile_words_stay_words() {
    let mut place = embedded();
    place.outfalls[0].name = "</text><script>alert(1)</script>\" onload=\"x".into();
    let mark = OutfallMark {
        code: place.outfalls[0].code.clone(),
        level: None,
        subject: true,
        href: Some("/timeline?outfall=a&b=\"c\"".into()),
    };
    let marks = MapMarks { outfalls: vec![mark], ..MapMarks::default() };
    let svg = map(&place, &marks, Canvas { id: "overview", width: 848, height: 420 });
    assert_safe(&svg, "overview", "group");
    let doc = Document::parse(&svg).unwrap();
    let link = doc.descendants().find(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "a"))).unwrap();
    assert_eq!(link.attribute("href"), Some("/timeline?outfall=a&b=\"c\""));
    assert!(doc.descendants().any(|n| n.text() == Some(place.outfalls[0].name.as_str())));
}
