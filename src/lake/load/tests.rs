use super::*;

#[test]
fn the_embedded_place_is_valid() {
    let place = parse(&FILES.map(|(file, text)| (file, text.to_owned())));
    let place = place.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((place.sectors.len(), place.outfalls.len(), place.stations.len()), (6, 8, 5));
}
