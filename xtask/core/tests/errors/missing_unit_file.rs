use bedplate_core::*;

fn main() {
    let _ = Image::debian("trixie").unit(unit!("units/missing.service"));
}
