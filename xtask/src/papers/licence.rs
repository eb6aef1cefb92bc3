//! Names of licences as Debian's copyright files write them, and what SPDX calls the same.
//!
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/#license-short-name>,
//! <https://spdx.org/licenses/>. A name that is in no table here has no identifier: its text is quoted instead.

/// The identifiers that appear in Debian and Ubuntu, each its own name in any case. The GNU licences have [`family`].
const IDENTIFIERS: &[&str] = &[
    "0BSD",
    "AFL-2.0",
    "AFL-2.1",
    "AFL-3.0",
    "Apache-1.0",
    "Apache-1.1",
    "Apache-2.0",
    "APSL-2.0",
    "Artistic-1.0",
    "Artistic-1.0-Perl",
    "Artistic-2.0",
    "Beerware",
    "bcrypt-Solar-Designer",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-3-Clause-LBNL",
    "BSD-4-Clause",
    "BSD-4-Clause-UC",
    "BSD-Source-Code",
    "BSL-1.0",
    "bzip2-1.0.6",
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-2.5",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "CPL-1.0",
    "curl",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "FTL",
    "HPND",
    "HPND-sell-variant",
    "ICU",
    "IJG",
    "ImageMagick",
    "Info-ZIP",
    "IPL-1.0",
    "ISC",
    "LPPL-1.3a",
    "LPPL-1.3c",
    "Libpng",
    "libtiff",
    "Linux-OpenIB",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MIT-Modern-Variant",
    "MPL-1.0",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "NAIST-2003",
    "NCSA",
    "NetCDF",
    "NTP",
    "OFL-1.0",
    "OFL-1.1",
    "OLDAP-2.8",
    "OpenSSL",
    "PHP-3.01",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "Python-2.0.1",
    "QPL-1.0",
    "RSA-MD",
    "Ruby",
    "SISSL",
    "Sleepycat",
    "SMLNJ",
    "Spencer-86",
    "Spencer-94",
    "Spencer-99",
    "SSH-OpenSSH",
    "SSH-short",
    "TCL",
    "TCP-wrappers",
    "Unicode-3.0",
    "Unicode-DFS-2015",
    "Unicode-DFS-2016",
    "Unicode-TOU",
    "Unlicense",
    "UPL-1.0",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "Xnet",
    "Zend-2.0",
    "Zlib",
    "zlib-acknowledgement",
    "ZPL-2.0",
    "ZPL-2.1",
];

/// What Debian calls otherwise, in lower case; the first column of the format's table, and what people write.
const ALIASES: &[(&str, &str)] = &[
    ("apache-2", "Apache-2.0"),
    ("apache-2-llvm-exceptions", "Apache-2.0 WITH LLVM-exception"),
    ("apache2", "Apache-2.0"),
    ("artistic", "Artistic-1.0"),
    ("artistic-1", "Artistic-1.0"),
    ("artistic-2", "Artistic-2.0"),
    ("boost-1.0", "BSL-1.0"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-2clause", "BSD-2-Clause"),
    ("bsd-2-clauses", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-3clause", "BSD-3-Clause"),
    ("bsd-3-clauses", "BSD-3-Clause"),
    ("bsd-4clause", "BSD-4-Clause"),
    ("bsd-4-clauses", "BSD-4-Clause"),
    ("bzip2", "bzip2-1.0.6"),
    ("cc0", "CC0-1.0"),
    ("cc0-1", "CC0-1.0"),
    ("cddl", "CDDL-1.0"),
    ("expat", "MIT"),
    ("expat-mit", "MIT"),
    ("mit-expat", "MIT"),
    ("mit/expat", "MIT"),
    ("mpl-1", "MPL-1.0"),
    ("mpl-2", "MPL-2.0"),
    ("perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("psf-2", "PSF-2.0"),
    ("zlib/libpng", "Zlib"),
    ("zope-2.1", "ZPL-2.1"),
];

/// Exceptions, in lower case and without the word `exception`.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("autoconf-2.0", "Autoconf-exception-2.0"),
    ("autoconf-3.0", "Autoconf-exception-3.0"),
    ("bison", "Bison-exception-2.2"),
    ("bison-2.2", "Bison-exception-2.2"),
    ("classpath", "Classpath-exception-2.0"),
    ("classpath-2.0", "Classpath-exception-2.0"),
    ("font", "Font-exception-2.0"),
    ("gcc-3.1", "GCC-exception-3.1"),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
    ("llvm", "LLVM-exception"),
    ("openvpn-openssl", "openvpn-openssl-exception"),
];

/// The GNU licences: their names in Debian, in SPDX, their versions, and the one that none means.
const FAMILIES: &[(&str, &str, &[&str], &str)] = &[
    ("agpl", "AGPL", &["1.0", "3.0"], ""),
    // The licence itself: without a number, any version ever published may be chosen.
    ("lgpl", "LGPL", &["2.0", "2.1", "3.0"], "2.0"),
    ("gpl", "GPL", &["1.0", "2.0", "3.0"], "1.0"),
    ("gfdl-niv", "GFDL", &["1.1", "1.2", "1.3"], ""),
    ("gfdl", "GFDL", &["1.1", "1.2", "1.3"], ""),
];

/// Returns the SPDX expression for one licence of a copyright file: `GPL-2+` is `GPL-2.0-or-later`. None for a name
/// that is in no table.
#[must_use]
pub fn identifier(name: &str) -> Option<String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let Some((licence, exception)) = name.split_once("-with-") else { return plain(&name) };
    let exception = exception.strip_suffix("-exception").unwrap_or(exception).replace("-exception-", "-");
    let (_, exception) = EXCEPTIONS.iter().find(|(known, _)| *known == exception)?;
    Some(format!("{} WITH {exception}", plain(licence)?))
}

/// The same for a name in lower case, without spaces and without an exception.
fn plain(name: &str) -> Option<String> {
    let itself = || IDENTIFIERS.iter().find(|known| known.eq_ignore_ascii_case(name));
    let alias = || ALIASES.iter().find(|(known, _)| *known == name).map(|(_, identifier)| identifier);
    family(name).or_else(|| alias().or_else(itself).map(|&identifier| identifier.to_owned()))
}

/// `lgpl-2.1+` → `LGPL-2.1-or-later`, `gfdl-niv-1.3` → `GFDL-1.3-no-invariants-only`.
fn family(name: &str) -> Option<String> {
    let (family, rest) = FAMILIES.iter().find_map(|family| Some((family, name.strip_prefix(family.0)?)))?;
    let (_, spdx, versions, unnumbered) = family;
    let (rest, later) = match rest.strip_suffix('+').or_else(|| rest.strip_suffix("-or-later")) {
        Some(rest) => (rest, true),
        None => (rest.strip_suffix("-only").unwrap_or(rest), false),
    };
    let number = rest.strip_prefix('-').unwrap_or(rest);
    let number = number.strip_prefix('v').unwrap_or(number).trim_end_matches('-');
    let (version, later) = match number {
        "" if unnumbered.is_empty() => return None,
        "" => (*unnumbered, true),
        number => {
            let fits = |version: &&&str| **version == number || version.strip_suffix(".0") == Some(number);
            (*versions.iter().find(fits)?, later)
        }
    };
    let invariants = if name.starts_with("gfdl-niv") { "-no-invariants" } else { "" };
    Some(format!("{spdx}-{version}{invariants}-{}", if later { "or-later" } else { "only" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_debian_have_the_identifiers_of_spdx() {
        for (name, expected) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("GPLv3+", "GPL-3.0-or-later"),
            ("gpl-3.0-or-later", "GPL-3.0-or-later"),
            ("GPL", "GPL-1.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("LGPL-2+", "LGPL-2.0-or-later"),
            ("LGPL", "LGPL-2.0-or-later"),
            ("AGPL-3+", "AGPL-3.0-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GFDL-1.2", "GFDL-1.2-only"),
            ("Expat", "MIT"),
            ("expat", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("BSD 2-clause", "BSD-2-Clause"),
            ("zlib", "Zlib"),
            ("GPL-2+ with Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"),
            ("GPL-3+ with GCC-3.1 exception", "GPL-3.0-or-later WITH GCC-exception-3.1"),
            ("GPL-2+ with Autoconf-exception-2.0", "GPL-2.0-or-later WITH Autoconf-exception-2.0"),
        ] {
            assert_eq!(identifier(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_is_in_no_table_has_no_identifier() {
        for name in [
            "",
            "+",
            "-",
            "GPL-4",
            "GPL-2++",
            "gplonomics",
            "LGPL-2.2",
            "AGPL",
            "public-domain",
            "BSD",
            "custom",
            "GPL-2+ with OpenSSL exception",
            "unknown with Font exception",
            "with",
            "-with-",
            "Apache-2.0+",
            "\u{fc}",
        ] {
            assert_eq!(identifier(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_stands_in_two_tables() {
        let mut names: Vec<String> = IDENTIFIERS.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.extend(ALIASES.iter().map(|(name, _)| (*name).to_owned()));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|name| family(name).is_none()));
    }
}
