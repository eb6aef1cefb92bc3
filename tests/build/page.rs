//! The page of a built image: it stands alone, it is whole, and it is the same each time.

use std::fs;
use std::path::Path;

use bedplate_fixtures::page::Element;
use serde_json::Value;

use crate::product::{agrees, all, built_with, kept, small, success, sums};

fn report(out: &Path, further: &[&str]) -> String {
    let lock = kept("locks").join("small.lock");
    success(small().args(["report", "small", "--out"]).arg(out).arg("--lock").arg(lock).args(further));
    fs::read_to_string(out.join("report.html")).unwrap()
}

#[test]
fn a_page_tells_all_of_an_image_and_loads_nothing() {
    // An image of its own: the page is one more artifact.
    let image = || built_with("small", "small", "page", &[]);
    let out = image();
    let text = report(&out, &[]);
    let page = Element::read(&text);
    assert_eq!(page.flaws(), Vec::<String>::new());

    let manifest: Value = serde_json::from_slice(&fs::read(out.join("image.manifest")).unwrap()).unwrap();
    let rows = page.id("package-table").unwrap().tagged("tr");
    let packages = manifest["packages"].as_array().unwrap();
    for package in packages {
        let cells = ["name", "version", "architecture"].map(|field| package[field].as_str().unwrap());
        let is_told = |row: &Element| cells.iter().zip(&row.children).all(|(cell, told)| told.text == *cell);
        assert!(rows.iter().any(|row| is_told(row)), "{cells:?}");
    }
    assert_eq!(rows.len(), packages.len() + 1);

    // The disk and both maps, each for wide and for narrow screens, have something drawn.
    let drawings = page.tagged("svg");
    assert_eq!(drawings.len(), 6);
    assert!(drawings.iter().all(|drawing| drawing.tagged("rect").len() > 4));
    assert!(page.id("changes").unwrap().text.contains("Nothing differs."));
    assert!(page.id("boot").unwrap().text.contains("roothash="));

    // Another reader of XML finds no fault with it.
    let read =
        "import xml.dom.minidom as xml; print(len(xml.parse('report.html').getElementsByTagName('section')))";
    let sections = agrees(&out, &["python3"], &["python3", "-c", read]);
    assert_eq!(sections.trim(), page.tagged("section").len().to_string());

    // It is the same each time, tells nothing of the machine, and leaves the build as fresh as it was.
    assert_eq!(report(&out, &[]), text);
    for told in [out.to_str().unwrap(), env!("CARGO_MANIFEST_DIR")] {
        assert!(!text.contains(told), "{told}");
    }
    assert!(sums(&out).contains_key("report.html"));
    image();
    assert!(out.join("report.html").exists());

    let against = report(&out, &["--against", out.to_str().unwrap()]);
    assert!(against.contains("Nothing differs."), "{against}");
}

/// What a browser's program is called with: no display, no user, and nothing on the network.
const BROWSER: [&str; 7] = [
    "env",
    "HOME=/tmp",
    "/usr/lib/chromium/chromium",
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
];

/// The pictures stay beside the page, for people to look at.
#[test]
fn a_browser_shows_it_on_a_narrow_screen_in_light_and_in_dark_and_searches_it() {
    if !all() {
        return;
    }
    let out = built_with("small", "small", "page-browser", &[]);
    let text = report(&out, &[]);
    let browse = |argv: &[&str]| {
        let packages = ["chromium", "coreutils", "fonts-dejavu-core"];
        agrees(&out, &packages, &[&BROWSER[..], argv].concat())
    };

    // The page forbids every script but its own.
    let (before, policy) = text.split_once("<meta http-equiv").unwrap();
    let (_, after) = policy.split_once('>').unwrap();
    let asked = format!("{before}{after}")
        .replace("</body>", &format!("<script>{}</script></body>", include_str!("page/ask.js")));
    fs::write(out.join("asked.html"), asked).unwrap();
    // Its window is 500 wide at least, where it takes no picture; the answers come to where the dump is of.
    let copy =
        "Object.assign(document.documentElement.dataset, this.contentDocument.documentElement.dataset)";
    let frame =
        format!(r#"<iframe src="asked.html" width="360" height="800" frameborder="0" onload="{copy}">"#);
    fs::write(out.join("frame.html"), format!("<!DOCTYPE html>{frame}</iframe>")).unwrap();
    let dump = browse(&["--allow-file-access-from-files", "--dump-dom", "file:///run/work/frame.html"]);
    let answer = |name: &str| {
        let (_, value) = dump.split_once(&format!(" data-{name}=\"")).unwrap();
        value.split_once('"').unwrap().0.to_owned()
    };
    assert_eq!([answer("room"), answer("width")], ["360", "360"], "it is wider than the screen");
    let packages = Element::read(&text).id("package-table").unwrap().tagged("tr").len() - 1;
    assert_eq!(answer("none"), format!("0 of {packages}"));
    let shown: usize = answer("shown").parse().unwrap();
    assert!((1..packages / 4).contains(&shown), "{shown}");
    assert_eq!(answer("some"), format!("{shown} of {packages}"));

    let pictures = [("360,2000", "narrow"), ("1280,2000", "wide")].map(|(size, name)| {
        [("1", "light"), ("0", "dark")].map(|(scheme, colours)| {
            let picture = format!("report-{name}-{colours}.png");
            browse(&[
                &format!("--window-size={size}"),
                &format!("--blink-settings=preferredColorScheme={scheme}"),
                &format!("--screenshot=/run/work/{picture}"),
                "file:///run/work/report.html",
            ]);
            fs::read(out.join(picture)).unwrap()
        })
    });
    for [light, dark] in pictures {
        assert!(light.starts_with(b"\x89PNG") && light.len() > 20_000 && light != dark);
    }
}
