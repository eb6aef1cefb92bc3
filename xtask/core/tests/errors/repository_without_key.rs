use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").repository(Repository::signed("https://example.org/debian", "trixie", ["main"]));
}
