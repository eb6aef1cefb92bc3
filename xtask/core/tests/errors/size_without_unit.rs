use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").partition(Esp::new(512));
}
