use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").partition(Root::new(Ext4).verity());
}
