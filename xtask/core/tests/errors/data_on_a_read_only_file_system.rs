use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").partition(Data::new("persistent", Squashfs));
}
