//! The page of a built image: it stands alone, it is whole, and it is the same each time.

use std::fs;
use std::path::Path;

use bedplate_fixtures::page::Element;
use serde_json::Value;

use crate::product::{agrees, built_with, scratch, small, success, sums};

fn report(out: &Path, further: &[&str]) -> String {
    let lock = scratch("locks").join("small.lock");
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
