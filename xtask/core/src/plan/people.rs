//! Users: ids, homes, keys.

use super::state::is_in;
use super::{FilePlan, UserPlan};
use crate::image::Image;
use crate::image::user::User;
use crate::value::{DevicePath, UserName};

/// The first id of a person on Debian and Ubuntu.
pub(crate) const FIRST_UID: u32 = 1000;

/// Where the image has homes that lie on a data partition on the device.
const HOMES: &str = "/usr/lib/bedplate/homes";

/// True for a path that a data partition is mounted over.
fn on_data(image: &Image, path: &str) -> bool {
    let mounts = image.data.iter().filter_map(|data| data.mount.as_ref());
    mounts.into_iter().any(|mount| is_in(path, mount.value.as_str()))
}

/// Users with an id of their own keep it; the others take the next free from 1000.
pub(super) fn users(image: &Image) -> Vec<UserPlan> {
    let mut taken: Vec<u32> =
        image.users.iter().filter_map(|user| user.uid.as_ref().map(|uid| uid.value)).collect();
    let mut users = Vec::new();
    for user in &image.users {
        let Some(name) = &user.name else { continue };
        let uid = user.uid.as_ref().map_or_else(
            || {
                let next = (FIRST_UID..).find(|uid| !taken.contains(uid)).unwrap_or(FIRST_UID);
                taken.push(next);
                next
            },
            |uid| uid.value,
        );
        let home = match &user.home {
            Some(home) => home.value.clone(),
            None if user.system => DevicePath::known("/nonexistent"),
            None => home_of(&name.value),
        };
        users.push(UserPlan {
            image_home: match on_data(image, &home) {
                true => DevicePath::known(format!("{HOMES}/{}", name.value)),
                false => home.clone(),
            },
            home,
            name: name.value.to_string(),
            system: user.system,
            uid,
            group: user
                .own_group
                .as_ref()
                .map_or(name.value.as_str(), |group| group.value.as_str())
                .to_string(),
            gid: uid,
            groups: user.groups.iter().map(|group| group.value.to_string()).collect(),
            shell: if user.system { "/usr/sbin/nologin" } else { "/bin/bash" }.to_string(),
            administrator: user.administrator,
            credential: user.credential.is_some(),
            program: user.program,
            authorized_keys: user.keys.iter().map(|key| key.value.as_str().trim_end().to_string()).collect(),
            at: Some(name.at.clone()),
        });
    }
    users
}

/// Where a person lives, where the description does not say it.
fn home_of(name: &UserName) -> DevicePath {
    DevicePath::known(format!("/home/{name}"))
}

/// The homes of the people: those of services are their packages'.
pub(crate) fn homes(image: &Image) -> Vec<DevicePath> {
    let people = image.users.iter().filter(|user| !user.system);
    let home = |user: &User| match (&user.home, &user.name) {
        (Some(home), _) => Some(home.value.clone()),
        (None, Some(name)) => Some(home_of(&name.value)),
        (None, None) => None,
    };
    people.filter_map(home).collect()
}

pub(super) fn files(users: &[UserPlan]) -> Vec<FilePlan> {
    let mut files = Vec::new();
    for user in users.iter().filter(|user| !user.system) {
        let own = |file: FilePlan| file.owned_by(user.uid, user.gid).at(user.at.as_ref());
        files.push(own(FilePlan::directory(&user.image_home, format!("home of {}", user.name)).mode(0o750)));
        if user.administrator {
            // No password exists that sudo could ask for.
            let rule = format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", user.name);
            let path = format!("/etc/sudoers.d/bedplate-{}", user.name);
            let why = format!("{} may become root", user.name);
            files.push(FilePlan::text(path, rule, why).mode(0o440).at(user.at.as_ref()));
        }
        if user.authorized_keys.is_empty() {
            continue;
        }
        let keys = user.authorized_keys.join("\n") + "\n";
        let why = format!("lets {} in by key", user.name);
        let path = format!("{}/{}", super::sshd::GIVEN, user.name);
        files.push(FilePlan::text(path, keys, why).at(user.at.as_ref()));
    }
    files
}
