//! The rules a description keeps, a family a file.
//!
//! All of them look at the whole description, so that one run reports every
//! mistake. Words are checked where they are given (their grammar is the
//! word's); their rules are in [`words`].

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::plan::Draft;
use crate::rule::Rule;

pub(crate) mod answers;
pub(crate) mod archives;
pub(crate) mod binds;
pub(crate) mod budgets;
pub(crate) mod contents;
pub(crate) mod debs;
pub(crate) mod dkms;
pub mod files;
pub(crate) mod kernel;
pub(crate) mod keys;
pub(crate) mod packages;
pub(crate) mod partitions;
pub(crate) mod release;
pub(crate) mod secure_boot;
pub mod text;
pub(crate) mod units;
pub(crate) mod updates;
pub(crate) mod users;
pub(crate) mod values;

/// Every rule, family by family.
pub static RULES: &[&Rule] = &[
    &release::UNKNOWN_RELEASE,
    &release::REFUSED_RELEASE,
    &release::NOT_IN_RELEASE,
    &values::MALFORMED_PACKAGE_NAME,
    &values::MALFORMED_SUITE,
    &values::MALFORMED_URL,
    &values::MALFORMED_VERSION,
    &values::MALFORMED_SNAPSHOT,
    &values::MALFORMED_FINGERPRINT,
    &values::MALFORMED_DIGEST,
    &values::MALFORMED_PATH,
    &values::MALFORMED_HOSTNAME,
    &values::MALFORMED_IMAGE_VERSION,
    &values::MALFORMED_COMPATIBLE,
    &values::MALFORMED_HOST,
    &values::MALFORMED_LABEL,
    &values::MALFORMED_LOCALE,
    &values::MALFORMED_TIMEZONE,
    &values::MALFORMED_ARGUMENT,
    &values::MALFORMED_GLOB,
    &values::MALFORMED_MODULE_NAME,
    &values::MALFORMED_SYSCTL,
    &values::MALFORMED_QUESTION,
    &values::MALFORMED_USER_NAME,
    &values::MALFORMED_SSH_KEY,
    &values::MALFORMED_UNIT_NAME,
    &partitions::NO_ROOT,
    &partitions::TWO_ROOTS,
    &partitions::NO_ESP,
    &partitions::TWO_ESPS,
    &partitions::SECTOR_SIZE,
    &partitions::ESP_TOO_SMALL,
    &partitions::SIZE_OUT_OF_RANGE,
    &partitions::LABEL_TOO_LONG,
    &partitions::LABEL_TWICE,
    &partitions::MOUNT_TWICE,
    &partitions::MOUNT_OVER_SYSTEM,
    &partitions::GROWS_BEFORE_ANOTHER,
    &budgets::OVER_BUDGET,
    &budgets::BUDGET_TWICE,
    &budgets::BUDGET_BEYOND_SLOT,
    &binds::BIND_WITHOUT_DATA,
    &binds::BOUND_TWICE,
    &binds::BIND_BELOW_BIND,
    &binds::BIND_OF_SYSTEM,
    &binds::BIND_ON_DATA,
    &binds::MODE_OUT_OF_RANGE,
    &binds::FILE_EXECUTABLE,
    &binds::PATH_TO_BE_QUOTED,
    &contents::MALFORMED_PATTERN,
    &contents::REMOVES_THE_SYSTEM,
    &contents::INCLUDE_OF_NOTHING,
    &contents::MALFORMED_SCRIPT,
    &contents::REMOVES_WHAT_THE_PLAN_WRITES,
    &files::FILE_TWICE,
    &files::FILE_OF_THE_PLAN,
    &files::FILE_MODE,
    &files::FILE_HIDDEN,
    &files::ACCOUNTS_BY_HAND,
    &files::OVERLAY_OUTSIDE,
    &packages::NO_KERNEL,
    &packages::PACKAGE_FROM_NOWHERE,
    &packages::PACKAGE_TWO_WAYS,
    &packages::NAMED_OTHERWISE,
    &packages::PACKAGE_IN_AND_OUT,
    &packages::NEEDED_PACKAGE_OUT,
    &answers::ANSWERED_TWICE,
    &dkms::UNSIGNED_MODULE,
    &archives::UNKNOWN_COMPONENT,
    &archives::UNKNOWN_SUITE,
    &archives::REPOSITORY_TWICE,
    &archives::REPOSITORY_WITHOUT_COMPONENT,
    &debs::DEB_TWICE,
    &debs::DEB_OUTSIDE_PROJECT,
    &debs::DEB_BY_ANY_KEY,
    &debs::DEB_BY_SIGNATURE_AND_DIGEST,
    &keys::KEY_FROM_ANYONE,
    &keys::KEY_NOT_SHIPPED,
    &kernel::ARGUMENT_OF_THE_PLAN,
    &kernel::ARGUMENT_TWICE,
    &kernel::DANGEROUS_ARGUMENT,
    &kernel::SYSCTL_TWICE,
    &units::ENABLED_AND_MASKED,
    &units::UNIT_TWICE,
    &units::WHERE_DOES_NOT_FIT,
    &units::UNIT_OF_THE_PLAN,
    &updates::UPDATES_TWICE,
    &updates::UPDATES_WITHOUT_VERSION,
    &updates::UPDATES_WITHOUT_VERITY,
    &updates::UPDATES_WITHOUT_DATA,
    &updates::UPDATES_WITHOUT_END,
    &updates::NOT_A_CERTIFICATE,
    &updates::TRIAL_OUT_OF_RANGE,
    &secure_boot::SECURE_BOOT_TWICE,
    &secure_boot::SECURE_BOOT_WITHOUT_VERITY,
    &secure_boot::ENCRYPTED_WITHOUT_SECURE_BOOT,
    &secure_boot::ENCRYPTED_BESIDE,
    &secure_boot::ENCRYPTED_MAKEFS,
    &secure_boot::ENCRYPTED_RELEASE,
    &secure_boot::RECOVERY_RELEASE,
    &secure_boot::PCR_KEY_OF_NOTHING,
    &partitions::LABEL_OF_THE_PLAN,
    &text::CARRIAGE_RETURN,
    &users::USER_TWICE,
    &users::USER_OF_THE_SYSTEM,
    &users::UID_OUT_OF_RANGE,
    &users::UID_TWICE,
    &users::SYSTEM_USER_WITHOUT_ID,
    &users::LOGIN_OF_A_SERVICE,
    &users::GROUP_OF_THE_SYSTEM,
    &users::OWN_GROUP_OF_THE_SYSTEM,
];

/// Everything that is wrong with `image`, in no particular order.
pub(crate) fn all(image: &Image) -> Vec<Diagnostic> {
    let mut found = image.mistakes.clone();
    release::check(image, &mut found);
    partitions::check(image, &mut found);
    budgets::check(image, &mut found);
    binds::check(image, &mut found);
    contents::check(image, &mut found);
    files::check(image, &mut found);
    packages::check(image, &mut found);
    answers::check(image, &mut found);
    dkms::check(image, &mut found);
    archives::check(image, &mut found);
    debs::check(image, &mut found);
    keys::check(image, &mut found);
    kernel::check(image, &mut found);
    units::check(image, &mut found);
    updates::check(image, &mut found);
    secure_boot::check(image, &mut found);
    text::check(image, &mut found);
    users::check(image, &mut found);
    found
}

/// What of the description does not go with what the plan writes by itself.
pub(crate) fn against(image: &Image, draft: &Draft) -> Vec<Diagnostic> {
    let mut found = files::against(image, &draft.files);
    found.extend(budgets::against(image, &draft.disk));
    found.extend(contents::against(image, &draft.files));
    found.extend(units::against(image, &draft.units));
    found
}

/// Pairs of a value said before and the same said again.
fn repeated<'a, T, K: PartialEq>(
    values: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> Option<K>,
) -> Vec<(&'a T, &'a T)> {
    let mut seen: Vec<(&'a T, K)> = Vec::new();
    let mut pairs = Vec::new();
    for value in values {
        let Some(key) = key(value) else { continue };
        match seen.iter().find(|(_, known)| *known == key) {
            Some((first, _)) => pairs.push((*first, value)),
            None => seen.push((value, key)),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Diagnostics, Renderer};

    /// What a person sees of the rule's wrong example, `source` being the text
    /// of the file the rule is in.
    pub(super) fn refusal(rule: &Rule, source: &str) -> String {
        let mistakes: Diagnostics = rule.wrong.describe().plan().unwrap_err();
        let file = |name: &str| name.contains("/check/").then(|| source.to_string());
        mistakes.iter().map(|mistake| Renderer::plain().anonymous_lines().render(mistake, &file)).collect()
    }

    #[test]
    fn every_rule_is_tested_by_its_text() {
        let families = [
            include_str!("check/answers.rs"),
            include_str!("check/archives.rs"),
            include_str!("check/binds.rs"),
            include_str!("check/budgets.rs"),
            include_str!("check/contents.rs"),
            include_str!("check/debs.rs"),
            include_str!("check/dkms.rs"),
            include_str!("check/files.rs"),
            include_str!("check/kernel.rs"),
            include_str!("check/keys.rs"),
            include_str!("check/packages.rs"),
            include_str!("check/partitions.rs"),
            include_str!("check/release.rs"),
            include_str!("check/secure_boot.rs"),
            include_str!("check/text.rs"),
            include_str!("check/units.rs"),
            include_str!("check/updates.rs"),
            include_str!("check/users.rs"),
            include_str!("check/values.rs"),
        ];
        for rule in RULES {
            let constant = rule.code.to_ascii_uppercase().replace('-', "_");
            let family =
                families.iter().find(|text| text.contains(&format!("pub(crate) static {constant}: Rule")));
            let family = family.unwrap_or_else(|| panic!("no family defines {constant}"));
            let tested = family.contains(&format!("refusal(&{constant}, "));
            assert!(tested, "{} has no test of its text", rule.code);
        }
        let defined: usize = families.iter().map(|text| text.matches("pub(crate) static ").count()).sum();
        assert_eq!(defined, RULES.len(), "a rule is missing from the table");
    }
}
