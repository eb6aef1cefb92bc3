use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").package(7);
}
