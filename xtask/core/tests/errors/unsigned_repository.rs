use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").repository(Repository::unsigned("https://example.org/debian", "trixie", ["main"]));
}
