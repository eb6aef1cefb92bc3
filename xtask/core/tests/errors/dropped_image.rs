#![deny(unused_must_use)]

use bedplate_core::*;

fn describe(image: Image) -> Image {
    image.clone().bind("/greengrass");
    image
}

fn main() {
    let _ = describe(Image::debian("trixie"));
    Image::debian("trixie");
}
