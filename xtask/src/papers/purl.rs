//! Package URLs: the name by which scanners and their databases know a package.
//!
//! <https://github.com/package-url/purl-spec>

use bedplate_core::Plan;
use bedplate_core::lock::{Lock, LockedPackage};

/// Returns the package URL of a locked package. `distro` is the release in the form of scanners: `debian-13`.
///
/// A package of the distribution's own archives is one of `pkg:deb/debian` or `pkg:deb/ubuntu`. Of another archive, the
/// namespace is what that calls itself, with its address. A package from no archive is `pkg:generic` with its address
/// and digest: nobody may take it for the distribution's package of the same name.
#[must_use]
pub fn of(plan: &Plan, lock: &Lock, package: &LockedPackage, distro: &str) -> String {
    let (name, version) = (package.name.as_str(), package.version.as_str());
    let mut qualifiers = vec![("arch", package.architecture.clone())];
    if package.is_vendors() || package.is_projects() {
        qualifiers.push(("checksum", format!("sha256:{}", package.sha256.as_str())));
        if !package.url.is_file() {
            qualifiers.push(("download_url", package.url.to_string()));
        }
        return url("generic", None, name, version, &qualifiers);
    }
    qualifiers.push(("distro", distro.to_owned()));
    let own = plan.distribution.to_string().to_lowercase();
    let is_below = |base: &str| package.url.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let foreign = plan.archives.iter().filter(|archive| !archive.own).find(|archive| is_below(&archive.base));
    let Some(archive) = foreign else { return url("deb", Some(&own), name, version, &qualifiers) };
    qualifiers.push(("repository_url", archive.base.to_string()));
    let origin = lock.archives.iter().find(|locked| locked.base == archive.base).map(|locked| &locked.origin);
    let origin = origin.map(|origin| origin.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-"));
    // An archive that calls itself Debian is not Debian's.
    let origin = origin.filter(|origin| !["", "debian", "ubuntu"].contains(&origin.as_str()));
    url("deb", Some(&origin.unwrap_or_else(|| archive.pocket.clone())), name, version, &qualifiers)
}

/// Returns the package URL of the source package that a package was built of, of the same origin.
#[must_use]
pub fn source(binary: &str, name: &str, version: &str) -> Option<String> {
    let namespace = binary.strip_prefix("pkg:deb/")?.split('/').next()?;
    let of = |key: &str| {
        let (_, qualifiers) = binary.split_once('?')?;
        qualifiers.split('&').find(|qualifier| qualifier.split('=').next() == Some(key))
    };
    let kept = ["distro", "repository_url"].iter().filter_map(|key| of(key));
    let qualifiers = std::iter::once("arch=source").chain(kept).collect::<Vec<_>>().join("&");
    Some(format!("pkg:deb/{namespace}/{}@{}?{qualifiers}", encoded(name, ""), encoded(version, "")))
}

/// The qualifiers are sorted by name.
fn url(kind: &str, namespace: Option<&str>, name: &str, version: &str, of: &[(&str, String)]) -> String {
    let namespace = namespace.map(|namespace| format!("{}/", encoded(namespace, ""))).unwrap_or_default();
    let qualifiers: Vec<String> =
        of.iter().map(|(key, value)| format!("{key}={}", encoded(value, "/"))).collect();
    format!("pkg:{kind}/{namespace}{}@{}?{}", encoded(name, ""), encoded(version, ""), qualifiers.join("&"))
}

/// Percent-encodes all but letters, digits, `.`, `-`, `_`, `~`, the colon, and what else is `kept`.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        match c.is_ascii_alphanumeric() || ".-_~:".contains(c) || kept.contains(c) {
            true => encoded.push(c),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::lock::{LockedArchive, PROJECT, VENDOR};
    use bedplate_core::rule::device;
    use bedplate_core::value::Sha256;
    use bedplate_core::{Key, Repository};

    fn package(name: &str, version: &str, pocket: &str, address: &str) -> LockedPackage {
        LockedPackage {
            name: name.parse().unwrap(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            pocket: pocket.to_owned(),
            size: 1,
            sha256: Sha256::of([0xab; 32]),
            url: address.parse().unwrap(),
        }
    }

    fn shown(package: &LockedPackage, origin: &str) -> String {
        let base = "https://apt.example.com/linux";
        let key = Key::file("keys/vendor.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88");
        let repository = Repository::signed(base, "stable", ["main"], key);
        let plan = device().repository(repository).plan().unwrap();
        let archive = LockedArchive {
            base: base.parse().unwrap(),
            suite: "stable".to_owned(),
            pocket: "apt.example.com".to_owned(),
            origin: origin.to_owned(),
            date: 0,
            signed_by: String::new(),
            sha256: Sha256::of([0; 32]),
        };
        of(&plan, &Lock { archives: vec![archive], ..Lock::default() }, package, "debian-13")
    }

    #[test]
    fn a_version_is_encoded_but_for_its_colon_and_tilde() {
        let package = package(
            "libstdc++6",
            "1:14.2.0-19+b1~deb13u1",
            "release",
            "http://ftp.debian.org/debian/pool/a.deb",
        );
        assert_eq!(
            shown(&package, ""),
            "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1~deb13u1?arch=amd64&distro=debian-13"
        );
        assert_eq!(
            source(&shown(&package, ""), "gcc-14", "14.2.0-19+x").unwrap(),
            "pkg:deb/debian/gcc-14@14.2.0-19%2Bx?arch=source&distro=debian-13"
        );
    }

    #[test]
    fn a_package_of_another_archive_is_not_the_distributions() {
        let package = package("docker-ce", "5:27", "apt.example.com", "https://apt.example.com/linux/a.deb");
        let rest = "/docker-ce@5:27?arch=amd64&distro=debian-13&repository_url=https://apt.example.com/linux";
        assert_eq!(shown(&package, "My Docker"), format!("pkg:deb/my-docker{rest}"));
        assert_eq!(shown(&package, ""), format!("pkg:deb/apt.example.com{rest}"));
        assert_eq!(shown(&package, "Debian"), format!("pkg:deb/apt.example.com{rest}"));
    }

    #[test]
    fn a_package_of_no_archive_claims_none() {
        let digest = "ab".repeat(32);
        let vendors = package("agent", "1.0", VENDOR, "https://vendor.example/agent.deb");
        assert_eq!(
            shown(&vendors, ""),
            format!(
                "pkg:generic/agent@1.0?arch=amd64&checksum=sha256:{digest}&download_url=https://vendor.example/agent.deb"
            )
        );
        let projects = package("agent", "1.0", PROJECT, "debs/agent.deb");
        assert_eq!(
            shown(&projects, ""),
            format!("pkg:generic/agent@1.0?arch=amd64&checksum=sha256:{digest}")
        );
        assert_eq!(source(&shown(&projects, ""), "agent", "1.0"), None);
    }
}
