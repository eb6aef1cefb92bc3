use super::*;

const FORMAT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

/// The expression for files under these licences, each a paragraph.
fn expression(licences: &[&str]) -> String {
    let paragraphs = licences.iter().map(|licence| format!("\nFiles: *\nCopyright: x\nLicense: {licence}\n"));
    read((FORMAT.to_owned() + &paragraphs.collect::<String>()).as_bytes()).unwrap().expression
}

/// The same with the digests of texts left out.
fn shown(licences: &[&str]) -> String {
    let words: Vec<String> = expression(licences)
        .split(' ')
        .map(|word| match word.starts_with("LicenseRef-").then(|| word.rsplit_once('-')).flatten() {
            Some((name, digest)) => name.to_owned() + if digest.ends_with(')') { ")" } else { "" },
            None => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

#[test]
fn the_licences_of_all_files_are_those_of_the_package() {
    assert_eq!(expression(&["GPL-2+"]), "GPL-2.0-or-later");
    assert_eq!(expression(&["GPL-2+", "Expat", "GPL-2+"]), "GPL-2.0-or-later AND MIT");
    assert_eq!(expression(&["GPL-1+ or Artistic", "Expat"]), "(GPL-1.0-or-later OR Artistic-1.0) AND MIT");
    assert_eq!(expression(&["GPL-2 and BSD-3-clause", "Zlib"]), "BSD-3-Clause AND GPL-2.0-only AND Zlib");
}

#[test]
fn and_binds_closer_than_or_and_a_comma_less_than_both() {
    assert_eq!(shown(&["GPL-2 or ISC and MIT"]), "(GPL-2.0-only OR ISC AND MIT)");
    assert_eq!(shown(&["GPL-2 or ISC, and MIT"]), "(GPL-2.0-only OR ISC) AND MIT");
    assert_eq!(shown(&["(GPL-2 or ISC) and MIT"]), "(GPL-2.0-only OR ISC) AND MIT");
    assert_eq!(shown(&["GPL-2, MIT"]), "GPL-2.0-only AND MIT");
    assert_eq!(shown(&["GPL-2+ and/or LGPL-2.1+"]), "(GPL-2.0-or-later OR LGPL-2.1-or-later)");
    assert_eq!(shown(&["GPL-2 | MIT"]), "(GPL-2.0-only OR MIT)");
    assert_eq!(shown(&["GPL-2 or later"]), "GPL-2.0-or-later");
    assert_eq!(shown(&["Perl"]), "(Artistic-1.0-Perl OR GPL-1.0-or-later)");
    assert_eq!(shown(&["MIT or MIT"]), "MIT");
}

#[test]
fn an_unknown_licence_is_quoted() {
    let text = FORMAT.to_owned()
        + "\nFiles: *\nLicense: public-domain or My Own (v2)\n\n\
           License: public-domain\n Do what\n .\n  you want.\n\n\
           License: My Own (v2)\n Mine.\n";
    let licences = read(text.as_bytes()).unwrap();
    let texts: Vec<(&str, &str)> =
        licences.texts.values().map(|text| (text.name.as_str(), text.text.as_str())).collect();
    assert_eq!(texts, [("My Own (v2)", "Mine."), ("public-domain", "Do what\n\n you want.")]);
    for reference in licences.texts.keys() {
        assert!(licences.expression.contains(reference), "{reference} is not in {}", licences.expression);
    }
    // Two texts under one name are two licences; the same one in two packages is one.
    let other = read(text.replace("Mine.", "Ours.").as_bytes()).unwrap();
    let common: Vec<_> = licences.texts.keys().filter(|key| other.texts.contains_key(*key)).collect();
    assert_eq!((common.len(), other.texts.len()), (1, 2));
}

#[test]
fn the_text_beside_the_files_comes_before_the_one_that_stands_alone() {
    let text = FORMAT.to_owned() + "\nFiles: *\nLicense: X\n here\n\nLicense: X\n there\n";
    assert_eq!(read(text.as_bytes()).unwrap().texts.values().next().unwrap().text, "here");
}

#[test]
fn a_text_without_a_name_is_no_name() {
    let text = FORMAT.to_owned()
        + "\nFiles: *\nLicense:\n Permission is hereby granted, free of charge, to any person obtaining a copy of it.\n";
    let licences = read(text.as_bytes()).unwrap();
    let text = licences.texts.values().next().unwrap();
    assert_eq!(text.name, "unnamed");
    assert!(text.text.starts_with("Permission") && licences.expression.starts_with("LicenseRef-unnamed-"));
}

#[test]
fn free_text_names_no_licence() {
    for text in
        ["", "This package was debianized by somebody.\n\nIt is under the GPL-2.\n", FORMAT, "License: MIT\n"]
    {
        assert_eq!(read(text.as_bytes()), None, "{text:?}");
    }
    let header = FORMAT.to_owned() + "License: MIT\n";
    assert_eq!(read(header.as_bytes()).unwrap().expression, "MIT", "of the package as a whole");
}

#[test]
fn bytes_of_latin_1_and_line_ends_of_other_systems_are_read() {
    let mut bytes = FORMAT.as_bytes().to_vec();
    bytes.extend(b"\r\nFiles: *\r\nCopyright: J\xfcrgen\r\nLicense: own\r\n f\xfcr alle\r\n");
    let licences = read(&bytes).unwrap();
    assert_eq!(licences.texts.values().next().unwrap().text, "für alle");
}

#[test]
fn whatever_stands_for_a_licence_ends_in_an_expression() {
    let deep = "(".repeat(100_000) + "MIT";
    for licence in
        ["and", "or or", "(", ")", "MIT (", "MIT and", ", MIT", "(MIT", "()", "MIT) or ISC", &deep, "\u{fc}"]
    {
        let expression = expression(&[licence]);
        assert!(expression.starts_with("LicenseRef-"), "{licence:.20}: {expression}");
        assert!(expression.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)), "{expression}");
    }
    for bytes in
        [&b"\xff\xfe"[..], b"Format:", b"Format: dep5\nFiles:\nLicense:", b"Format: dep5\n\n\n \nLicense"]
    {
        let _ = read(bytes);
    }
}
